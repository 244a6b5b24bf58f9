<?php
// Its own allocator takes 2 MiB chunks; with USE_ZEND_ALLOC=0 every value is a malloc.

ini_set('memory_limit', '-1');
mt_srand(42);

$live = [];
for ($i = 0; $i < 200000; $i++) {
    $key = mt_rand(0, 3000);
    if (isset($live[$key])) {
        unset($live[$key]);
    } else {
        $live[$key] = mt_rand(0, 1) ? str_repeat('x', mt_rand(0, 2000)) : range(0, mt_rand(0, 50));
    }
}
$sum = 0;
foreach ($live as $key => $value) {
    $sum += ($key + 1) * (is_array($value) ? count($value) : strlen($value));
}
echo "churn $sum\n";

class Node
{
    public $other;
    public $text;
    public function __construct($other, $n)
    {
        $this->other = $other;
        $this->text = "node $n";
    }
}
for ($i = 0; $i < 50; $i++) {
    $first = $last = new Node(null, 0);
    for ($j = 0; $j < 1000; $j++) {
        $last = new Node($last, $j);
    }
    $first->other = $last;
}
unset($first, $last);
echo 'cycles ', gc_collect_cycles() >= 0 ? 'collected' : '', "\n";

$data = [];
for ($i = 0; $i < 10000; $i++) {
    $data["key$i"] = ['id' => $i, 'list' => array_fill(0, $i % 10, $i), 'text' => md5("$i")];
}
$json = json_encode($data);
echo 'json ', md5($json), ' ', json_decode($json, true) === $data ? 'same' : 'differs', "\n";
echo 'serialize ', md5(serialize($data)), ' ', unserialize(serialize($data)) == $data, "\n";
echo 'preg ', md5(preg_replace_callback('/"([a-f0-9])(\d+)/', fn ($m) => $m[2] . $m[1], $json)), "\n";
uasort($data, fn ($a, $b) => strcmp($a['text'], $b['text']));
echo 'sorted ', array_key_first($data), ' ', array_key_last($data), "\n";
function numbers($n) { for ($i = 0; $i < $n; $i++) yield str_repeat('y', $i % 100) => [$i]; }
$sum = 0;
foreach (numbers(100000) as $key => $value) {
    $sum += strlen($key) * $value[0];
}
echo "generator $sum\n";
