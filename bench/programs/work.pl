# Hashes of lists, text by regular expressions, objects with destructors.
use strict;
use warnings;

my $state = 42;
sub random { $state = ($state * 1103515245 + 12345) % 2147483648; int($state / 65536) % shift }

my (%words, %by_length);
for (1 .. 150_000) {
    my $word = join '', map { chr 97 + random(5) } 0 .. random(9);
    $words{$word}++;
    push @{ $by_length{ length $word }{ substr $word, 0, 1 } }, $word if $words{$word} == 1;
    delete $words{$word} if $words{$word} > 40;
}

my $text = join "\n", map { "line $_: " . ("ab" x random(40)) . random(1000) } 1 .. 30_000;
$text =~ s/(ab)+(\d+)/sprintf "%s<%05d>", length($&), $2/ge;
my @sorted = sort { length $a <=> length $b || $a cmp $b } split /\n/, $text;
@sorted == 30_000 or die;

package Node;
my $destroyed = 0;
sub new { my ($class, %fields) = @_; bless {%fields, pad => 'x' x ::random(300)}, $class }
sub DESTROY { $destroyed++ }
for (1 .. 3) {
    my $list;
    $list = Node->new(next => $list, value => $_) for 1 .. 20_000;
    while ($list) { my $next = delete $list->{next}; $list = $next }
}
$destroyed == 60_000 or die;
