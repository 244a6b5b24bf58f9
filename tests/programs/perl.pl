# Perl's values are small blocks by the million; its threads clone the whole interpreter.

use strict;
use warnings;
use threads;
use Digest::MD5 qw(md5_hex);
use Storable qw(dclone freeze);
use List::Util qw(sum);

srand 42;
my $state = 42;
sub random { $state = ($state * 1103515245 + 12345) % 2147483648; int($state / 65536) % shift }

sub hashes {
    my (%words, %by_length);
    for (1 .. 200_000) {
        my $word = join '', map { chr 97 + random(5) } 0 .. random(12);
        $words{$word}++;
        push @{ $by_length{ length $word }{ substr $word, 0, 1 } }, $word if $words{$word} == 1;
        delete $words{$word} if $words{$word} > 40;
    }
    my $copy = dclone(\%by_length);
    $Storable::canonical = 1;
    print "hashes ", scalar(keys %words), " ", md5_hex(freeze($copy)), "\n";
}

sub strings {
    my $text = join "\n", map { "line $_: " . ("ab" x random(40)) . random(1000) } 1 .. 40_000;
    my $count = () = $text =~ /\bline (\d+): (?:ab)*(\d)\2/g;
    (my $changed = $text) =~ s/(ab)+(\d+)/sprintf "%s<%05d>", length($&), $2/ge;
    $changed .= substr $changed, 1000 * $_, 500 * $_ for 1 .. 40;
    print "strings $count ", length $changed, " ", md5_hex($changed), "\n";
    my @sorted = sort { length $a <=> length $b || $a cmp $b } split /\n/, $changed;
    print "sorted ", md5_hex(join '', @sorted), "\n";
}

sub objects {
    package Node;
    my $destroyed = 0;
    sub new { my ($class, %f) = @_; bless {%f, pad => 'x' x ::random(300)}, $class }
    sub DESTROY { $destroyed++ }
    my $list;
    $list = Node->new(next => $list, call => do { my $n = $_; sub { $n * 2 } }) for 1 .. 30_000;
    my $total = 0;
    for (my $node = $list; $node; $node = $node->{next}) { $total += $node->{call}->() }
    while ($list) { my $next = delete $list->{next}; $list = $next }
    print "objects $total $destroyed\n";
}

sub work {
    my ($seed, $steps) = @_;
    my (%live, $x);
    $x = $seed;
    for (1 .. $steps) {
        $x = ($x * 1103515245 + 12345) % 2147483648;
        my $key = int($x / 65536) % 500;
        if (exists $live{$key}) { delete $live{$key} } else { $live{$key} = 'y' x ($x % 3000) }
    }
    return sum map { length } values %live;
}

hashes();
strings();
objects();
my @threads = map { threads->create(\&work, $_, 50_000) } 1 .. 4;
print "threads ", join(' ', map { $_->join } @threads), "\n";
$| = 1;
for my $n (1 .. 10) {
    open my $child, '-|' or do { print work($n, 5000); exit };
    print "child $n ", <$child>, "\n";
}
