<?php
// What one of several clients does: prepare, work NUMBER, look.

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$db = new mysqli(null, 'root', '', 'test', 0, getenv('SOCKET'));

function prepare($db)
{
    $db->multi_query('CREATE TABLE account (id INT PRIMARY KEY, balance BIGINT) ENGINE=InnoDB;
        CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(200), number DOUBLE, details JSON,
            KEY (name), FULLTEXT (name)) ENGINE=InnoDB;
        CREATE TABLE log (client INT, step INT, text LONGTEXT, PRIMARY KEY (client, step)) ENGINE=Aria');
    while ($db->more_results() && $db->next_result());
    $db->query('INSERT INTO account SELECT seq, 1000 FROM seq_1_to_200');
    $db->query('INSERT INTO item SELECT seq, CONCAT("item ", MD5(seq), " ", seq % 100), seq * 0.5,
        JSON_OBJECT("id", seq, "list", JSON_ARRAY(seq, seq + 1)) FROM seq_1_to_10000');
}

// In order of the accounts' numbers, so that no two clients wait for each other.
function transfer($db, $from, $to, $amount)
{
    $db->begin_transaction();
    $statement = $db->prepare('UPDATE account SET balance = balance + ? WHERE id = ?');
    $statement->bind_param('ii', $change, $id);
    foreach ($from < $to ? [$from, $to] : [$to, $from] as $id) {
        $change = $id == $from ? -$amount : $amount;
        $statement->execute();
    }
    $statement->close();
    $db->commit();
}

function work($db, $client)
{
    mt_srand($client);
    $sum = 0;
    for ($step = 0; $step < 100; $step++) {
        $from = mt_rand(1, 200);
        $to = mt_rand(1, 199);
        transfer($db, $from, $to >= $from ? $to + 1 : $to, mt_rand(1, 50));
        $text = str_repeat("client $client ", mt_rand(1, $step % 10 == 0 ? 20000 : 100));
        $statement = $db->prepare('INSERT INTO log VALUES (?, ?, ?)');
        $statement->bind_param('iis', $client, $step, $text);
        $statement->execute();
        $low = mt_rand(1, 9000);
        $rows = $db->query("SELECT id, name, JSON_VALUE(details, '$.list[1]') FROM item
            WHERE id BETWEEN $low AND $low + 200 ORDER BY name");
        foreach ($rows as $row) {
            $sum += crc32(implode(',', $row));
        }
    }
    $db->query('CREATE TEMPORARY TABLE mine ENGINE=MEMORY AS SELECT name, number FROM item WHERE id % 3 = 0');
    $rows = $db->query('SELECT COUNT(*), SUM(a.number + b.number) FROM mine a JOIN mine b USING (name)');
    echo "client $client: $sum ", implode(' ', $rows->fetch_row()), "\n";
}

function look($db)
{
    $db->query('SET SESSION group_concat_max_len = 1000000');
    foreach (['SELECT COUNT(*), SUM(balance), MD5(GROUP_CONCAT(balance ORDER BY id)) FROM account',
        'SELECT client, COUNT(*), SUM(LENGTH(text)), MD5(GROUP_CONCAT(MD5(text) ORDER BY step))
            FROM log GROUP BY client ORDER BY client',
        'SELECT SUBSTRING(name, 6, 2) AS start, COUNT(DISTINCT number), GROUP_CONCAT(id ORDER BY id DESC)
            FROM item GROUP BY start ORDER BY COUNT(*) DESC, start LIMIT 5',
        'SELECT a.id, RANK() OVER (PARTITION BY a.id % 7 ORDER BY a.name) FROM item a ORDER BY a.name LIMIT 50',
        'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            SELECT SUM(i), MD5(GROUP_CONCAT(REPEAT(i, 3))) FROM n',
        'SELECT COUNT(*) FROM item WHERE MATCH (name) AGAINST ("+item* -zzz" IN BOOLEAN MODE)',
        'SELECT REGEXP_REPLACE(GROUP_CONCAT(name ORDER BY id), "[a-f]+", "") REGEXP "^item", COUNT(*)
            FROM item WHERE id < 2000'] as $query) {
        $sum = hash_init('md5');
        $rows = $db->query($query);
        foreach ($rows as $row) {
            hash_update($sum, implode('|', $row));
        }
        echo $rows->num_rows, ' ', hash_final($sum), "\n";
    }
}

$argv[1]($db, $argv[2] ?? null);
