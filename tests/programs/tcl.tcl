# Tcl keeps lists of free blocks per thread, on top of malloc.

set state 42
proc random {n} {
    global state
    set state [expr {($state * 1103515245 + 12345) % 2147483648}]
    return [expr {$state / 65536 % $n}]
}

set live [dict create]
for {set i 0} {$i < 100000} {incr i} {
    set key [random 2000]
    if {[dict exists $live $key]} {
        dict unset live $key
    } else {
        dict set live $key [lrepeat [random 30] [string repeat x [random 50]]]
    }
}
set total 0
dict for {key value} $live { incr total [expr {($key + 1) * [string length $value]}] }
puts "dict [dict size $live] $total"

set words {}
for {set i 0} {$i < 50000} {incr i} { lappend words "w[random 9999]-$i" }
set sorted [lsort -dictionary $words]
puts "sorted [lindex $sorted 100] [lindex $sorted end] [zlib crc32 [join $sorted ,]]"
set text [join $words " "]
puts "regsub [regsub -all {w(\d)(\d*)7-} $text {<\2\1>} changed] [zlib crc32 $changed]"
puts "zlib [string equal [zlib inflate [zlib deflate $text 9]] $text]"
puts "big [string length [expr {7 ** 20000}]] [expr {(3 ** 4000) % 1000000007}]"

proc counter {n} { for {set i 0} {$i < $n} {incr i} { yield [string repeat y $i] } }
set total 0
for {set n 1} {$n < 300} {incr n} {
    coroutine next counter $n
    while {[llength [info commands next]]} { incr total [string length [next]] }
}
puts "coroutines $total"
for {set n 0} {$n < 100} {incr n} {
    set child [interp create]
    $child eval { proc f {x} { return [list $x $x] } }
    append children [llength [$child eval "f {$n $n}"]]
    interp delete $child
}
puts "interpreters $children"
