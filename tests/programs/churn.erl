% Processes that allocate, share and die; tables; binaries that several processes refer to.

-module(churn).
-export([main/0, main/1]).

main(_) -> main().

main() ->
    say("messages", [lists:sum(ring(200, 50))]),
    say("processes", [lists:sum(many(20000))]),
    say("tables", tables(30000)),
    say("binaries", [binaries(2000)]),
    say("terms", [terms(300)]),
    say("compiled", [compiled(200)]),
    say("ports", [lists:sum([port(N) || N <- lists:seq(1, 20)])]),
    say("files", [files(50)]),
    say("sockets", [sockets(50)]),
    [erlang:garbage_collect(P) || P <- processes()],
    init:stop().

say(What, Figures) ->
    io:format("~s ~p~n", [What, Figures]).

% A message with a growing list goes around.
ring(Size, Rounds) ->
    Self = self(),
    Last = lists:foldl(fun(_, Next) -> spawn(fun() -> pass(Next) end) end, Self,
        lists:seq(1, Size)),
    Result = lists:foldl(fun(N, List) ->
        Last ! {round, lists:duplicate(N, N) ++ lists:sublist(List, 1000)},
        receive {round, Answer} -> Answer end end, [], lists:seq(1, Rounds)),
    Last ! stop,
    receive stop -> Result end.

pass(Next) ->
    receive
        {round, List} -> Next ! {round, [length(List) | List]}, pass(Next);
        stop -> Next ! stop
    end.

many(Count) ->
    Self = self(),
    [spawn(fun() -> Self ! {length, length(lists:seq(1, N rem 300))} end) || N <- lists:seq(1, Count)],
    [receive {length, N} -> N end || _ <- lists:seq(1, Count)].

tables(Count) ->
    [table(Kind, Count) || Kind <- [set, ordered_set, bag]].

table(Kind, Count) ->
    Table = ets:new(table, [Kind, public, {write_concurrency, Kind =/= bag}]),
    Self = self(),
    [spawn(fun() ->
        [ets:insert(Table, {N, list_to_binary(lists:duplicate(N rem 200, $x)), {N, [N]}})
            || N <- lists:seq(Part, Count, 4)],
        [ets:delete(Table, N) || N <- lists:seq(Part, Count, 12)],
        Self ! done end) || Part <- lists:seq(1, 4)],
    [receive done -> ok end || _ <- lists:seq(1, 4)],
    Sum = ets:foldl(fun({N, Bytes, _}, S) -> S + N * byte_size(Bytes) end, 0, Table),
    Size = ets:info(Table, size),
    ets:delete(Table),
    {Kind, Size, Sum}.

binaries(Count) ->
    Large = lists:foldl(fun(N, Sofar) -> <<Sofar/binary, N:32, (N * N):64>> end, <<>>,
        lists:seq(1, 20000)),
    Parts = [binary:part(Large, N * 7, 1000 + N) || N <- lists:seq(1, Count)],
    Self = self(),
    [spawn(fun() -> Self ! {sum, erlang:crc32(binary:copy(Part))} end) || Part <- Parts],
    lists:sum([receive {sum, N} -> N end || _ <- Parts]).

terms(Count) ->
    Map = maps:from_list([{N, {lists:seq(1, N), integer_to_binary(N), N * 1.5}}
        || N <- lists:seq(1, Count)]),
    Packed = term_to_binary(Map, [{compressed, 6}, {minor_version, 2}]),
    Map = binary_to_term(Packed),
    erlang:phash2(Map).

compiled(Count) ->
    lists:sum([begin
        Name = list_to_atom("made" ++ integer_to_list(N rem 10)),
        Forms = [{attribute, 1, module, Name}, {attribute, 1, export, [{f, 1}]},
            {function, 1, f, 1, [{clause, 1, [{var, 1, 'X'}], [],
                [{op, 1, '+', {var, 1, 'X'}, {integer, 1, N}}]}]}],
        {ok, Name, Code} = compile:forms(Forms),
        code:purge(Name),
        {module, Name} = code:load_binary(Name, "made", Code),
        Name:f(N)
    end || N <- lists:seq(1, Count)]).

port(N) ->
    Port = open_port({spawn_executable, "/bin/cat"}, [binary, stream]),
    port_command(Port, binary:copy(<<"x">>, N * 1000)),
    Size = gather(Port, N * 1000),
    port_close(Port),
    Size.

gather(_, 0) -> 0;
gather(Port, Left) ->
    receive {Port, {data, Bytes}} -> byte_size(Bytes) + gather(Port, Left - byte_size(Bytes)) end.

files(Count) ->
    lists:sum([begin
        Name = "file" ++ integer_to_list(N),
        ok = file:write_file(Name, binary:copy(<<N:32>>, N * 100)),
        {ok, Bytes} = file:read_file(Name),
        ok = file:delete(Name),
        byte_size(Bytes)
    end || N <- lists:seq(1, Count)]).

sockets(Count) ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false},
        {packet, 4}, {backlog, 100}]),
    {ok, Number} = inet:port(Listener),
    Self = self(),
    [spawn(fun() ->
        {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Number, [binary, {active, false},
            {packet, 4}]),
        ok = gen_tcp:send(Socket, binary:copy(<<N>>, N * 500)),
        {ok, Answer} = gen_tcp:recv(Socket, 0),
        Self ! {answer, byte_size(Answer)} end) || N <- lists:seq(1, Count)],
    [begin
        {ok, Socket} = gen_tcp:accept(Listener),
        {ok, Bytes} = gen_tcp:recv(Socket, 0),
        ok = gen_tcp:send(Socket, [Bytes, Bytes]),
        gen_tcp:close(Socket)
    end || _ <- lists:seq(1, Count)],
    lists:sum([receive {answer, N} -> N end || _ <- lists:seq(1, Count)]).
