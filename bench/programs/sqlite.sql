PRAGMA temp_store = memory;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL, body TEXT);
WITH RECURSIVE n(i, x) AS (
    SELECT 1, 42
    UNION ALL SELECT i + 1, (x * 1103515245 + 12345) % 2147483648 FROM n WHERE i < 120000)
INSERT INTO item
SELECT i, x % 100, printf('%08x', x), x / 65536 / 100.0, hex(zeroblob(x / 65536 % 75)) FROM n;
CREATE INDEX item_kind ON item (kind, price);
CREATE INDEX item_name ON item (name);
SELECT kind, count(*), max(price), group_concat(id) FROM item GROUP BY kind ORDER BY 2 DESC;
SELECT a.kind, count(*) FROM item a JOIN item b ON a.name = b.name AND a.id <= b.id GROUP BY a.kind;
SELECT upper(body), substr(name, 2) || '-' || name AS key FROM item ORDER BY key LIMIT 1000;
UPDATE item SET body = body || name WHERE kind < 50;
DELETE FROM item WHERE kind % 3 = 0;
SELECT count(DISTINCT name), sum(length(body)) FROM item;
