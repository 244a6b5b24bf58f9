#!/bin/bash
# command.sh - the arenite command, from outside: what it runs, what it refuses, and how it says so.
#
# Does not depend on what the library does as a malloc.

# shellcheck disable=SC2016 # what single quotes hold is for another shell
# shellcheck disable=SC2030,SC2031 # the subshells are there to keep PATH and cmd as they were

# shellcheck source=tests/cmd/claims.sh
. "$(dirname "$0")/claims.sh"

usual_path=/bin:/usr/bin # the caller's may hold directories that give "Permission denied"
chmod 755 "$work" # other users run programs in it

# prints PATTERN ARGUMENT...
prints() {
    local pattern=$1
    shift
    exits 0 "$@" && grep -qE -e "$pattern" out
}

# prints_line LINE ARGUMENT...
prints_line() {
    local line=$1
    shift
    exits 0 "$@" && grep -qxF -e "$line" out
}

# maps FILE ARGUMENT...: the program, which prints its maps, has the file in them.
maps() {
    local file=$1
    shift
    exits 0 "$@" && grep -qF "$(realpath "$file")" out
}

# with_path PATH COMMAND...
with_path() {
    local path=$1
    shift
    (PATH=$path && "$@")
}

# compiled FILE FLAG...: makes a program that does nothing.
compiled() {
    local file=$1
    shift
    echo 'int main(void) { return 0; }' >nothing.c
    $cc -o "$file" nothing.c "$@" >compiler 2>&1
}

# --- Usage ---------------------------------------------------------------------------------------

claim "--help prints the usage" prints '^usage: arenite' --help
claim "--help lists run" prints '^  run ' --help
claim "--help lists bench" prints '^  bench ' --help
claim "run --help prints the usage" prints '^usage: arenite run' run --help
claim "help prints the usage" prints '^usage: arenite COMMAND' help
claim "help help prints the usage" prints '^usage: arenite COMMAND' help help
claim "help run is run --help" prints '^usage: arenite run' help run
claim "help record is record --help" prints '^usage: arenite record' help record
claim "help bench is bench --help" prints '^usage: bench/run' help bench
claim "help with an unknown command names the nearest" \
    refuses 125 "unknown command 'benhc'; the nearest is 'bench'" help benhc
# Every command and script tells of itself, however it is asked.
helps() {
    local script=$1 option
    for option in -h --help; do
        "$script" "$option" >out 2>err </dev/null
        status=$?
        [ "$status" -eq 0 ] && [ ! -s err ] && grep -q '^usage: ' out || return
    done
}
source_dir=$(realpath "${ARENITE_SRCDIR:?the sources}")
for option in -h --help; do
    claim "$option prints the usage" prints '^usage: arenite COMMAND' "$option"
    for command in help run record bench; do
        claim "$command $option prints its usage" prints '^usage: ' "$command" "$option"
    done
done
for script in scripts/bench scripts/check scripts/demo scripts/install-packages bench/instructions \
    bench/atomics bench/run bench/start; do
    claim "$script helps" helps "$source_dir/$script"
done
for program in measure replay; do
    claim "bench/$program helps" helps "$(dirname "$cmd")/bench/$program"
done
claim "--version prints one line" prints '^arenite [0-9]' --version
without_arguments() {
    exits 125 && [ ! -s out ] && grep -q '^usage: arenite' err
}
claim "no argument is refused with the usage" without_arguments
claim "an unknown command is refused and the nearest is named" \
    refuses 125 "unknown command 'rum'; the nearest is 'run'" rum
claim "a long unknown command is refused" refuses 125 nearest "$(printf '%0500d' 0)"
claim "an empty command is refused" refuses 125 "unknown command" ""
claim "an unknown option is refused" refuses 125 "unknown option '--nope'" --nope
claim "an unknown option of run is refused" refuses 125 "unknown option '--nope'" run --nope true
claim "an unknown short option of run is refused" refuses 125 "unknown option '-x'" run -x true
claim "an option without its value is refused" refuses 125 "'-o' needs a value" run -o
claim "a value where none belongs is refused" refuses 125 "takes no value" run --stats=1 true
claim "run without a program is refused" refuses 125 "no program" run --
claim "bench reaches the benchmark" prints '^\| `cpython_build` \|' bench --list
full_output() {
    "$cmd" --help >/dev/full 2>err
    status=$?
    [ "$status" -eq 125 ] && grep -q "cannot write to standard output" err
}
if [ -c /dev/full ]; then
    claim "output that cannot be written is an error" full_output
else
    skip "output that cannot be written is an error" "no /dev/full"
fi

# --- Running -------------------------------------------------------------------------------------

claim "the program has the library" maps "$lib" run cat /proc/self/maps
claim "the program has the library that --library names" \
    maps "$lib" run --library "$lib" -- cat /proc/self/maps
claim "the exit status is the program's" exits 42 run sh -c 'exit 42'
claim "options after the program are the program's" prints_line "-o --help" run echo -o --help
claim "-- ends the options" prints_line "-o" run -- echo -o
claim "the program's name is as given" prints_line "sh" run sh -c 'echo "$0"'
killed() {
    { arenite run sh -c 'kill -TERM $$'; } 2>shell # where bash tells of it
    [ "$status" -eq 143 ]
}
claim "a signal that kills the program is seen" killed
same_process() {
    sh -c 'echo $$; exec "$0" run sh -c '\''echo $$'\' "$cmd" >out 2>err
    status=$?
    [ "$status" -eq 0 ] && [ "$(sort -u out | wc -l)" -eq 1 ]
}
claim "the program has the command's process id" same_process
piped() {
    echo "through" | "$cmd" run cat >out 2>err
    status=$?
    [ "$(cat out)" = through ]
}
claim "standard input is the program's" piped
claim "a program that is not there gives 127" \
    with_path "$usual_path" refuses 127 "cannot run 'no-such': No such file" run no-such
claim "an empty name gives 127" refuses 127 "cannot run ''" run ""
mkdir directory
claim "a directory gives 126" refuses 126 "Is a directory" run ./directory
claim "a path through a file gives 126" refuses 126 "Not a directory" run "$cmd/program"
echo '#!/bin/sh' >plain
claim "a file without x gives 126" refuses 126 "Permission denied" run ./plain
claim "a control character does not break the line" \
    with_path "$usual_path" refuses 127 "no\?such" run $'no\nsuch'

# --- PATH ----------------------------------------------------------------------------------------

mkdir -p first second third/tool
printf '#!/bin/sh\necho first\n' >first/tool
printf '#!/bin/sh\necho second\n' >second/tool
chmod +x second/tool
claim "PATH is searched past files that cannot be executed" \
    with_path "$work/first:$work/third:$work/second:$PATH" prints_line second run tool
claim "only such files in PATH give 126" \
    with_path "$work/first:$usual_path" refuses 126 "Permission denied" run tool
cp second/tool tool
claim "an empty entry of PATH is the current directory" \
    with_path "/nonexistent::$PATH" prints_line second run tool
claim "an empty entry at the end of PATH counts" \
    with_path "$PATH:" prints_line second run tool
claim "the current directory is not searched otherwise" \
    with_path "$usual_path" refuses 127 "cannot run 'tool'" run tool
without_path() {
    env -u PATH "$cmd" run true >out 2>err
    status=$?
    [ "$status" -eq 0 ]
}
claim "without PATH the standard directories are searched" without_path
claim "a name with a slash is relative to the current directory" prints_line second run second/tool
deep=$work/$(printf 'd%.0s' {1..200})/$(printf 'e%.0s' {1..200})/$(printf 'f%.0s' {1..200})
mkdir -p "$deep"
cp second/tool "$deep/deep"
claim "long paths are no trouble" with_path "$deep:$deep:$PATH" prints_line second run deep

# --- The environment -----------------------------------------------------------------------------

claim "-o sets ARENITE_OPTIONS" prints_line ARENITE_OPTIONS=huge_pages=off \
    run -o huge_pages=off env
claim "-o repeats" prints_line ARENITE_OPTIONS=huge_pages=off,misuse=abort \
    run -o huge_pages=off --option=misuse=abort env
claim "-o takes a list with spaces after the commas" \
    prints_line "ARENITE_OPTIONS=purge_budget=1.5M, misuse=abort" \
    run -o "purge_budget=1.5M, misuse=abort" env
# What is wrong is told before the program starts, in the words of the library.
claim "-o with an unknown key names the nearest" refuses 125 \
    "run: -o: unknown option 'purge_buget'; the nearest is purge_budget" run -o purge_buget=1M echo
claim "-o with a bad value names the good ones" refuses 125 \
    "run: -o: bad value 'huge_pages=on'; use off or auto or always" run -o huge_pages=on echo
claim "-o with a value out of range names the range" refuses 125 \
    "run: -o: bad value 'map_threshold=12'; use 1M to 1G " run --option=map_threshold=12 echo
claim "-o finds what is wrong in the middle of a list" refuses 125 "unknown option 'nonsense'" \
    run -o misuse=abort,nonsense,stats=off echo
claim "each -o is looked at" refuses 125 "bad value 'show=2'" run -o show=2 -o stats=off echo
claim "--print looks at -o as well" refuses 125 "bad value 'show=2'" run -o show=2 --print
claim "--stats is stats=exit" prints_line ARENITE_OPTIONS=stats=exit run --stats env
claim "--show is show=1" prints_line ARENITE_OPTIONS=show=1 run --show env
# They close their standard error before they end.
for program in ls sort cat; do
    claim "--stats prints the figures of $program" \
        eval 'exits 0 run --stats $program /dev/null &&
            grep -qxE "arenite: statistics of $program, process [0-9]+" err &&
            grep -qxE "arenite: used bytes [0-9]+" err'
done
with_options() {
    (export ARENITE_OPTIONS=$1 && shift && "$@")
}
claim "options come after those in the environment" with_options misuse=ignore \
    prints_line ARENITE_OPTIONS=misuse=ignore,misuse=abort run -o misuse=abort env
no_options() {
    exits 0 run env && ! grep -q '^ARENITE_OPTIONS' out
}
claim "without options ARENITE_OPTIONS is left alone" no_options

echo 'int arenite_test_second;' >second.c
if $cc -shared -fPIC -o second.so second.c; then
    kept() {
        LD_PRELOAD=$work/second.so "$cmd" run --library "$lib" env >out 2>err
        status=$?
        grep -qxF "LD_PRELOAD=$lib:$work/second.so" out
    }
    claim "what is preloaded already stays, after the library" kept
    # first NAME: a preload of this name comes before the library, one of another name behind it.
    first() {
        cp second.so "$1"
        LD_PRELOAD="$work/second.so $work/$1" "$cmd" run --library "$lib" env >out 2>err
        status=$?
        grep -qxF "LD_PRELOAD=$work/$1:$lib:$work/second.so" out
    }
    for name in libasan.so.8 liblsan.so.0 libtsan.so.2 libhwasan.so.0 \
        libclang_rt.asan-x86_64.so libarenite-record.so libheaptrack_preload.so libmemusage.so; do
        claim "$name stays in front" first $name
    done
    first_twice() {
        LD_PRELOAD="$work/libmemusage.so $lib" "$cmd" run --library "$lib" env >out 2>err
        status=$?
        grep -qxF "LD_PRELOAD=$work/libmemusage.so:$lib" out && [ ! -s err ]
    }
    claim "one run inside another keeps what is in front" first_twice
    idle_behind() {
        LD_PRELOAD=$work/libtsan.so.2 "$cmd" run true >out 2>err
        status=$?
        [ "$status" -eq 0 ] && [ "$(wc -l <err)" -eq 1 ] &&
            grep -q '^arenite: LD_PRELOAD has libtsan.so.2, which stays in front: .* idle' err
    }
    claim "a sanitizer's malloc in front is told of" idle_behind
    claim "a library may be named by a relative path" maps second.so \
        run --library second.so cat /proc/self/maps
    claim "a library's relative path is made absolute" \
        prints_line "LD_PRELOAD='$work/second.so'" run --library ./second.so --print
else
    skip "a second library" "no C compiler"
fi
nested() {
    exits 0 run --library "$lib" -- "$cmd" run --library "$lib" env &&
        grep -qxF "LD_PRELOAD=$lib" out
}
claim "one run inside another names the library once" nested
claim "--print prints the settings and runs nothing" \
    prints_line "LD_PRELOAD='$lib' ARENITE_OPTIONS='stats=exit'" \
    run --print --library "$lib" --stats false
claim "--print needs no program" prints "^LD_PRELOAD='[^']*/libarenite.so'\$" run --print
quoted() {
    with_options "it's=1" exits 0 run --print --library "$lib" -o misuse=abort &&
        (eval "$(cat out)" && [ "$ARENITE_OPTIONS" = "it's=1,misuse=abort" ] &&
            [ "$LD_PRELOAD" = "$lib" ])
}
claim "--print quotes for the shell" quoted

# --- The library ---------------------------------------------------------------------------------

claim "a library that is not there is refused" \
    refuses 125 "cannot preload library 'none.so': No such file" run --library none.so true
claim "a library that is a directory is refused" \
    refuses 125 "not a regular file" run --library directory true
claim "an empty library name is refused" refuses 125 "cannot preload library ''" run --library= true
claim "a library that is a text is refused" refuses 125 "not an ELF file" run --library plain true
claim "a program is no library" refuses 125 "not a shared library" run --library "$cmd" true
# odd CHARACTER NAME
odd() {
    mkdir "odd$1LIB" && cp "$lib" "odd$1LIB/libarenite.so"
    refuses 125 "LD_PRELOAD cannot hold a path with a $2 in it" \
        run --library "odd$1LIB/libarenite.so" true
}
claim "a library's path with a space is refused" odd ' ' space
claim "a library's path with a colon is refused" odd : colon
claim "a library's path with a dollar sign is refused" odd '$' 'dollar sign'
mkdir -p moved/bin
cp "$cmd" moved/bin/arenite
cp "$lib" moved/bin/libarenite.so
beside() {
    (cmd=$work/moved/bin/arenite && maps moved/bin/libarenite.so run cat /proc/self/maps)
}
claim "the library is found beside the command" beside
runtime_only() {
    mkdir -p runtime/bin && cp "$cmd" runtime/bin/arenite && cp "$lib" runtime/bin/libarenite.so.0
    (cmd=$work/runtime/bin/arenite && maps runtime/bin/libarenite.so.0 run cat /proc/self/maps)
}
claim "libarenite.so.0 is enough" runtime_only
linked_command() {
    ln -s ../moved/bin/arenite directory/link
    (cmd=$work/directory/link && maps moved/bin/libarenite.so run cat /proc/self/maps)
}
claim "the library is found through a link to the command" linked_command
cp "$lib" moved/bin/libarenite-hardened.so
hardened() {
    (cmd=$work/moved/bin/arenite && maps moved/bin/libarenite-hardened.so run --hardened cat /proc/self/maps)
}
claim "--hardened takes the hardened library beside the command" hardened
hardened_runtime_only() {
    cp "$lib" runtime/bin/libarenite-hardened.so.0
    (cmd=$work/runtime/bin/arenite &&
        prints_line "LD_PRELOAD='$work/runtime/bin/libarenite-hardened.so.0'" run --hardened --print true)
}
claim "libarenite-hardened.so.0 is enough" hardened_runtime_only
claim "--hardened and --library are refused together" \
    refuses 125 "run: --hardened and --library both name a library" run --hardened --library "$lib" true

# What ld.so makes of $LIB here.
token=
for candidate in "lib/$(uname -m)-linux-gnu" lib64 lib; do
    mkdir -p "token/$candidate"
    cp "$lib" "token/$candidate/libarenite.so"
    cp "$cmd" "token/$candidate/arenite"
    if [ -z "$(LD_PRELOAD=$work'/token/$LIB/libarenite.so' /bin/true 2>&1)" ]; then
        token=$candidate
        break
    fi
    rm -r token
done
in_lib_directory() {
    cmd=$work/token/$token/arenite
    prints_line "LD_PRELOAD='$work/token/\$LIB/libarenite.so'" run --print true &&
        maps "token/$token/libarenite.so" run cat /proc/self/maps
}
elsewhere() {
    mkdir -p token/other &&
        mv "token/$token" token/other/lib_of_its_own &&
        cmd=$work/token/other/lib_of_its_own/arenite &&
        prints_line "LD_PRELOAD='$work/token/other/lib_of_its_own/libarenite.so'" run --print true
    local result=$?
    mv token/other/lib_of_its_own "token/$token"
    return $result
}
other_linker() {
    cmd=$work/token/$token/arenite
    prints_line "LD_PRELOAD='$work/token/$token/libarenite.so'" run --print ./linked
}
if [ -n "$token" ]; then
    linker=$(LC_ALL=C grep -aom1 '/lib[^[:cntrl:]]*/ld-linux[^[:cntrl:]]*' "$cmd")
    if cp "$linker" linker && compiled linked "-Wl,--dynamic-linker=$work/linker"; then
        claim "a program with a dynamic linker of its own gets the path" eval '(other_linker)'
    else
        skip "a program with a dynamic linker of its own gets the path" "no C compiler"
    fi
    claim "in a directory that \$LIB stands for, the name has \$LIB" eval '(in_lib_directory)'
    claim "in another directory, the name is the path" eval '(elsewhere)'
else
    skip "in a directory that \$LIB stands for, the name has \$LIB" "\$LIB is unknown here"
    skip "in another directory, the name is the path" "\$LIB is unknown here"
fi

# --- Programs with another malloc ----------------------------------------------------------------

# warns PATTERN PROGRAM: it runs, and one line on stderr matches.
warns() {
    exits 0 run "$2" && [ "$(wc -l <err)" -eq 1 ] && grep -qE "^arenite: $2 $1" err
}
silent() {
    exits 0 run "$@" && [ ! -s err ]
}
claim "a program without another malloc is told nothing of" silent cat /dev/null
# with_library FILE LIBRARY: links a program with a library of that name.
with_library() {
    $cc -shared -fPIC -Wl,-soname,"$2" -o "$2" second.c &&
        printf '%s\n' 'extern int arenite_test_second;' \
            'int main(void) { return arenite_test_second; }' >uses.c &&
        $cc -o "$1" uses.c "./$2" -Wl,-rpath,"$work"
}
# with_function FILE NAME FLAG...: a program that defines a function of that name.
with_function() {
    printf 'void *%s(unsigned long bytes)\n{\n    return bytes ? 0 : (void *)1;\n}\n' "$2" >function.c
    printf 'int main(void) { return 0; }\n' >>function.c
    $cc -fno-builtin -o "$1" function.c "${@:3}"
}
if [ -e second.so ]; then
    for name in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
        with_library brings $name
        claim "a program with $name is told of" \
            warns "is linked with $name, which is idle now" ./brings
    done
    with_library brings libother.so.1
    claim "a program with another library is not" silent ./brings
    with_function owns malloc
    claim "a program that defines malloc is told of" \
        warns "defines malloc itself, and keeps it: what is preloaded is idle" ./owns
    with_function hides malloc -s -fvisibility=hidden
    claim "one that defines it for itself alone is not" silent ./hides
    with_function other mallocs
    claim "a program that defines another name is not told of" silent ./other
    with_function je je_malloc
    claim "a program with jemalloc linked into it is told of" \
        warns "has jemalloc linked in under other names" ./je
    with_function tc tc_malloc
    claim "a program with tcmalloc linked into it is told of" warns "has tcmalloc linked in" ./tc
    with_library sanitized libasan.so.8
    claim "a program that must have a sanitizer's malloc is refused" \
        refuses 125 "cannot preload ./sanitized: linked with libasan.so.8, whose malloc it must have" \
        run ./sanitized
    claim "--force runs it" exits 0 run --force ./sanitized
    behind_runtime() {
        LD_PRELOAD=$work/libasan.so.8 "$cmd" run ./sanitized >out 2>err
        status=$?
        [ "$status" -eq 0 ]
    }
    claim "it runs if LD_PRELOAD has the sanitizer's runtime" behind_runtime
    asan="AddressSanitizer's runtime in LD_PRELOAD works"
    # clang links its own runtime in, beside which the shared one does not start.
    if runtime=$($cc -print-file-name=libasan.so) && [ -e "$runtime" ] &&
        compiled asan -fsanitize=address && LD_PRELOAD=$runtime ./asan 2>err; then
        real_runtime() {
            LD_PRELOAD=$runtime "$cmd" run ./asan >out 2>err
            status=$?
            [ "$status" -eq 0 ] && [ "$(wc -l <err)" -eq 1 ]
        }
        claim "$asan" real_runtime
        refused_under_runtime() {
            LD_PRELOAD=$runtime "$cmd" run -o nonsense ./asan >out 2>err
            status=$?
            [ "$status" -eq 125 ] && [ "$(wc -l <err)" -eq 1 ]
        }
        claim "the command has its exit status under AddressSanitizer" refused_under_runtime
    else
        skip "$asan" "no shared libasan with $cc"
    fi
else
    skip "programs with another malloc" "no C compiler"
fi
# Whatever stands in a damaged file's tables of sections and symbols, the command goes on.
scrambled_sections() {
    local bytes i at
    bytes=$(stat -c %s other)
    for i in {0..99}; do
        cp other short
        for at in $((40 + i % 24)) $((bytes - 1 - i * 17)) $((bytes - 1 - i * 29)); do
            printf '%b' "\\x$(printf %02x $(((i * 37 + 255) % 256)))" |
                dd of=short bs=1 seek="$at" conv=notrunc 2>/dev/null
        done
        timeout 120 "$cmd" run --print ./short >out 2>err
        status=$?
        [ $status -eq 0 ] || [ $status -eq 125 ] || return
    done
}
[ ! -e other ] || claim "scrambled sections are no trouble" scrambled_sections

# --- Programs that cannot be preloaded -----------------------------------------------------------

static_line="cannot preload ./static: statically linked; link it with libarenite.a instead"
if compiled static -static; then
    claim "a static program is refused" refuses 125 "$static_line" run ./static
    claim "--force runs it" exits 0 run --force ./static
    claim "--print refuses it too" refuses 125 "$static_line" run --print ./static
    printf '#!%s/static\n' "$work" >script
    chmod +x script
    claim "a script of a static interpreter is refused" \
        refuses 125 "cannot preload ./script: its interpreter $work/static: statically" run ./script
    printf '#!%s/script\n' "$work" >script2
    printf '#! /usr/bin/env   static \n' >script3
    printf '#!/usr/bin/env -S A=b static -x' >script4
    chmod +x script?
    claim "scripts are followed to the end" refuses 125 "its interpreter .*static" run ./script2
    claim "env in a script is followed" \
        with_path "$work:$PATH" refuses 125 "its interpreter .*static" run ./script3
    claim "env -S in a script is followed" \
        with_path "$work:$PATH" refuses 125 "its interpreter .*static" run ./script4
else
    skip "static programs" "no static libc"
fi
if compiled static-pie -static-pie; then
    claim "a static PIE is refused" refuses 125 "statically linked" run ./static-pie
else
    skip "a static PIE is refused" "no static PIE here"
fi

# A 32-bit program, and one with a library of its own.
child32="a 32-bit program is refused"
sibling="a 32-bit program with its own library in \$LIB runs"
if [ "$(uname -m)" = x86_64 ] && compiled p32 -m32 && ./p32; then
    claim "$child32" refuses 125 "cannot preload ./p32: it is 32-bit i386, and .* 64-bit x86-64" \
        run ./p32
    claim "--force runs it, with the dynamic linker's complaint" exits 0 run --force ./p32
    claim "a 64-bit program is no trouble for the command then" exits 0 run true
    in_lib32() {
        cmd=$work/token/$token/arenite
        for directory in lib32 lib/i386-linux-gnu lib; do
            mkdir -p "token/$directory" &&
                $cc -m32 -shared -fPIC -o "token/$directory/libarenite.so" second.c || return
        done
        exits 0 run ./p32 && [ ! -s err ]
    }
    if [ -n "$token" ] && [ "$token" != lib ] && [ -e second.c ]; then
        claim "$sibling" eval '(in_lib32)'
    else
        skip "$sibling" "\$LIB is unknown here"
    fi
else
    skip "$child32" "no 32-bit compiler"
    skip "$sibling" "no 32-bit compiler"
fi
if needs musl-gcc "a program linked with musl is refused"; then
    musl() {
        echo 'int main(void) { return 0; }' >nothing.c
        musl-gcc -o musl nothing.c && refuses 125 "linked with musl" run ./musl
    }
    claim "a program linked with musl is refused" musl
fi

printf 'echo a text\n' >text
printf '' >empty
printf '#!' >bare
printf '#!   \n' >blank
printf '#!/nonexistent/shell\n' >orphan
printf '#!%s/loop\n' "$work" >loop
printf '#!/%0300d\n' 0 >endless
chmod +x text empty bare blank orphan loop endless
claim "a text without #! is refused" refuses 125 "neither an ELF program nor a script" run ./text
claim "--force gives it to the shell" prints_line "a text" run --force ./text
claim "an empty file is refused" refuses 125 "neither an ELF program nor a script" run ./empty
claim "a #! without an interpreter is refused" refuses 125 "names no interpreter" run ./bare
claim "a #! with blanks is refused" refuses 125 "names no interpreter" run ./blank
claim "a missing interpreter is named" \
    refuses 127 "cannot run './orphan': its interpreter /nonexistent/shell does not" run ./orphan
claim "a script that is its own interpreter is refused" \
    refuses 125 "from script to script" run ./loop
claim "a #! line longer than the kernel reads is refused" refuses 125 "too long" run ./endless
printf '#!/bin/sh -e\necho from "$1"\n' >good
printf '#!/usr/bin/env -S sh -e\necho from "$1"\n' >good-env
chmod +x good good-env
claim "a script runs" prints_line "from here" run ./good here
claim "a script of env -S runs" prints_line "from here" run ./good-env here

# --- Damaged files -------------------------------------------------------------------------------

# shorten BYTES: ./short is the first bytes of a program.
shorten() {
    head -c "$1" "$(command -v cat)" >short
    chmod +x short
}
shortened() {
    local bytes
    for bytes in 4 5 15 16 17 51 52 63 64 65 119 120 200 400 700; do
        shorten $bytes
        refuses 125 "damaged ELF" run ./short || return
    done
}
claim "a program that is cut short is refused" shortened
# Whatever the bytes are, the command neither crashes nor takes long. The program does not run.
scrambled() {
    local i at
    for i in {0..63}; do
        shorten 2000
        for at in $i $((64 + i * 11 % 700)); do
            printf '%b' "\\x$(printf %02x $(((i * 37 + 255) % 256)))" |
                dd of=short bs=1 seek="$at" conv=notrunc 2>/dev/null
        done
        timeout 120 "$cmd" run --print ./short >out 2>err
        status=$?
        [ $status -eq 0 ] || [ $status -eq 125 ] || return
    done
}
claim "scrambled programs are no trouble" scrambled
shared_library() {
    cp "$lib" program.so && chmod +x program.so
    refuses 125 "a shared library, not a program" run ./program.so
}
claim "a shared library is refused" shared_library
if echo 'int x;' | $cc -x c -c -o object - 2>/dev/null; then
    chmod +x object
    claim "an object file is refused" refuses 125 "not a program" run ./object
else
    skip "an object file is refused" "no C compiler"
fi

# --- Privileges ----------------------------------------------------------------------------------

suid_line="set-uid; the dynamic linker ignores LD_PRELOAD then"
# Places mounted nosuid do not count.
nosuid() {
    findmnt -no OPTIONS --target "$work" 2>/dev/null | grep -q nosuid ||
        grep -q '^NoNewPrivs:.*1' /proc/self/status
}
if [ "$(id -u)" -ne 0 ] || nosuid || ! command -v setpriv >/dev/null; then
    for name in "a set-uid program is refused" "a set-gid program is refused" \
        "a program with file capabilities is refused"; do
        skip "$name" "needs root, setpriv, and a place that is not nosuid"
    done
else
    cp "$(command -v cat)" suid
    cp suid sgid
    cp suid own
    cp suid capable
    cp suid unreadable
    chown 65534 suid && chmod 4755 suid
    chgrp 65534 sgid && chmod 2755 sgid
    chmod 4755 own
    chmod 711 unreadable
    claim "a set-uid program is refused" refuses 125 "cannot preload ./suid: $suid_line" run ./suid
    claim "a set-gid program is refused" refuses 125 "cannot preload ./sgid: set-gid" run ./sgid
    claim "--force runs a set-uid program" exits 0 run --force ./suid /dev/null
    claim "a program that is set-uid to its caller runs" maps "$lib" run ./own /proc/self/maps
    # wrapper NAME FLAG...: a command that runs arenite under setpriv.
    wrapper() {
        printf '#!/bin/sh\nexec setpriv %s "%s" "$@"\n' "${*:2}" "$work/moved/bin/arenite" >"$1"
        chmod a+rx "$1"
    }
    chmod -R a+rX moved
    wrapper nobody --reuid=65534 --regid=65534 --clear-groups
    wrapper no-new --no-new-privs
    unprivileged() {
        (cmd=$work/nobody && "$@")
    }
    claim "a set-uid root program is refused to others" \
        unprivileged refuses 125 "set-uid" run ./own
    claim "a program that cannot be read runs" \
        unprivileged exits 0 run ./unreadable /dev/null
    capable="a program with file capabilities is refused"
    if needs setcap "$capable"; then
        if setcap cap_net_raw+ep capable 2>/dev/null; then
            claim "$capable" unprivileged refuses 125 "with file capabilities" run ./capable
            claim "but not to root" maps "$lib" run ./capable /proc/self/maps
        else
            skip "$capable" "no file capabilities here"
        fi
    fi
    no_new() {
        (cmd=$work/no-new && "$@")
    }
    claim "privileges that cannot be gained do not count" \
        no_new maps moved/bin/libarenite.so run ./suid /proc/self/maps
fi

finish
