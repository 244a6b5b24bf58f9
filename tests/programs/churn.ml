(* What is live is checked; what is not keeps the collector busy. *)

let say what figures =
  print_endline (String.concat " " (what :: List.map string_of_int figures))

type tree = Leaf | Node of tree * int * tree

let rec insert x = function
  | Leaf -> Node (Leaf, x, Leaf)
  | Node (l, y, r) as t ->
    if x < y then Node (insert x l, y, r) else if x > y then Node (l, y, insert x r) else t

let rec sum = function Leaf -> 0 | Node (l, y, r) -> sum l + y + sum r

let trees () =
  let t = ref Leaf in
  for n = 1 to 30000 do t := insert (n * 7919 mod 100003) !t done;
  sum !t

(* Large blocks come from malloc, and so do big arrays. *)
let large () =
  let live = Array.make 50 [||] and total = ref 0 in
  for n = 1 to 3000 do
    let a = Array.make (n * 37 mod 5000 + 300) n in
    live.(n mod 50) <- a;
    total := !total + Array.length a
  done;
  !total + Array.fold_left (fun s a -> s + a.(0)) 0 live

let big_arrays () =
  let total = ref 0 in
  for n = 1 to 2000 do
    let a = Bigarray.Array1.create Bigarray.int32 Bigarray.c_layout (n * 10) in
    Bigarray.Array1.fill a (Int32.of_int n);
    let part = Bigarray.Array1.sub a n n in
    total := !total + Int32.to_int part.{n - 1}
  done;
  !total

let marshalled () =
  let table = Hashtbl.create 16 in
  for n = 1 to 20000 do
    Hashtbl.replace table (string_of_int (n mod 5000)) (String.make (n mod 100) 'x', [ n; n + 1 ])
  done;
  let packed = Marshal.to_string table [] in
  let again : (string, string * int list) Hashtbl.t = Marshal.from_string packed 0 in
  Hashtbl.fold (fun _ (s, l) total -> total + String.length s + List.hd l) again 0

let threads () =
  let lock = Mutex.create () and total = ref 0 in
  let work n =
    let mine = ref [] in
    for i = 1 to 20000 do
      mine := Bytes.create (i mod 400) :: (if i mod 100 = 0 then [] else !mine)
    done;
    Mutex.lock lock;
    total := !total + n;
    Mutex.unlock lock
  in
  List.iter Thread.join (List.init 8 (fun n -> Thread.create work n));
  !total

let forked () =
  let from_child, to_parent = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
    Unix.close from_child;
    let out = Unix.out_channel_of_descr to_parent in
    output_value out (List.init 10000 (fun n -> (n, string_of_int n)));
    close_out out;
    Unix._exit 0
  | child ->
    Unix.close to_parent;
    let list : (int * string) list = input_value (Unix.in_channel_of_descr from_child) in
    ignore (Unix.waitpid [] child);
    List.fold_left (fun total (n, s) -> total + n + String.length s) 0 list

let finalised () =
  let weak = Weak.create 1000 and count = ref 0 in
  for n = 0 to 999 do
    let block = ref n in
    Gc.finalise (fun _ -> incr count) block;
    Weak.set weak n (Some block)
  done;
  Gc.compact ();
  Gc.full_major ();
  [ !count; List.length (List.filter (Weak.check weak) (List.init 1000 Fun.id)) ]

let () =
  say "trees" [ trees () ];
  say "large" [ large () ];
  say "big arrays" [ big_arrays () ];
  say "marshalled" [ marshalled () ];
  say "forked" [ forked () ];
  say "threads" [ threads () ];
  say "finalised" (finalised ());
  print_endline (Digest.to_hex (Digest.string (String.init 1000000 (fun n -> Char.chr (n mod 251)))))
