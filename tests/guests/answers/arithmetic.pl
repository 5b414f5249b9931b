# SPDX-License-Identifier: MIT
# Perl's arithmetic and what is built upon it. Prints what is exact.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex sha512_base64);
use List::Util qw(sum reduce max first shuffle);
use Math::BigFloat;
use Math::BigInt;
use POSIX qw(floor ceil fmod strtol);
use Time::Local qw(timegm);

sub say_it { print "perl ", join(" ", map { defined $_ ? $_ : "undef" } @_), "\n" }

my @edges = (0, 1, -1, 7, -7, 0.1, 1 / 3, 2.5, 1e15, 1e16, 1e22, 2**31, 2**32, 2**53 + 1, 9223372036854775807, -9223372036854775808,
             1e308, 2**-1074);
my $all = "";
for my $a (@edges) {
    for my $b (@edges) {
        $all .= join ",", map { sprintf "%.17g", $_ } $a + $b, $a - $b, $a * $b, $a <=> $b;
        $all .= sprintf "%.17g", $b ? $a / $b : 0;
    }
    $all .= sprintf "%s %d %x %.3e %s", $a, $a < 9e18 && $a > -9e18 ? $a : 0, abs $a < 1e15 ? abs $a : 0, $a, int $a;
}
say_it "floats", length $all, md5_hex $all;

{
    use integer;
    my $x = 1;
    $x = $x * 6364136223846793005 + 1442695040888963407 for 1 .. 1000;
    say_it "integers", $x, -7 / 2, -7 % 3, $x >> 7, $x & 0xffff, ~$x;
}
say_it "unsigned", 18446744073709551615, 18446744073709551615 % 1000, 1 << 63, ~0 >> 1, 0xdeadbeef ^ 0x12345678;

my $big = Math::BigInt->new(2)->bpow(521)->bsub(1);
say_it "bigint", $big, $big->copy->bmodpow(3, "1000000007"), Math::BigInt->new(100)->bfac->length;
say_it "bigfloat", Math::BigFloat->new(2)->bsqrt(60), Math::BigFloat->bpi(50), scalar Math::BigFloat->new(1)->bdiv(7, 40);

my $text = join " ", map { chr(97 + $_ % 26) x ($_ % 9) . $_ * 7919 % 1009 } 1 .. 4000;
say_it "digest", md5_hex($text), sha256_hex($text), sha512_base64($text);
my %count;
$count{$1} += $2 while $text =~ /\b([a-m]*)(\d+)/g;
say_it "regex", map { "$_=$count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
(my $swapped = $text) =~ s/(\w+) (\w+)/$2 $1/g;
(my $counted = $text) =~ tr/a-y/b-z/;
say_it "replace", md5_hex($swapped), md5_hex($counted), scalar reverse("abc"), ucfirst lc "GRUSS", "az" x 3;
my $s = "Az";
$s++ for 1 .. 100;
say_it "increment", $s, sort { $b <=> $a } 10, 9, 2, 33, 1;
say_it "pack", unpack("H*", pack "w N n C a5 d> q< f< Z*", 300, 1, 2, 3, "abc", 1.5, -2, 0.1, "z"),
    unpack("%32C*", $text), unpack("b*", "\x05");
say_it "lists", sum(map { $_ * $_ } 1 .. 1000), max(map { $_ * 7919 % 1009 } 1 .. 500),
    reduce { ($a * 31 + $b) % 1000003 } map { ord } split //, $text;
say_it "posix", floor(-2.5), ceil(-2.5), fmod(-7, 3), (strtol("ff", 16))[0], timegm(0, 0, 12, 29, 1, 2024);
say_it "formats", sprintf("%05.1f|%-6s|%+d|%o|%e|%g|%b|%s", 2.25, "ab", 5, 64, 12345.678, 1e-5, 10, 1e21);
srand 42;
my %seen;
$seen{ int rand 1000 }++ for 1 .. 2000;
say_it "random", scalar keys %seen, int rand 1e9;
