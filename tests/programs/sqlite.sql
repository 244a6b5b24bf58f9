-- ROWS is a number. Page cache, lookaside, sorter and statement blocks, all from malloc.
PRAGMA synchronous = off;
PRAGMA journal_mode = wal;
PRAGMA cache_size = -20000;
PRAGMA temp_store = memory;

CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL, body TEXT);
WITH RECURSIVE n(i, x) AS (
    SELECT 1, 42
    UNION ALL SELECT i + 1, (x * 1103515245 + 12345) % 2147483648 FROM n WHERE i < ROWS)
INSERT INTO item
SELECT i, x % 100, printf('%08x', x), x / 65536 / 100.0,
       substr(replace(hex(zeroblob(x / 65536 % 150)), '0', char(97 + x % 26)), 1) FROM n;
CREATE INDEX item_kind ON item (kind, price);
CREATE INDEX item_name ON item (name);
SELECT count(*), sum(kind), round(sum(price), 2), sum(length(body)) FROM item;

SELECT kind, count(*), round(max(price), 2) FROM item GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 5;
SELECT a.kind, count(*) FROM item a JOIN item b ON a.name = b.name AND a.id < b.id
GROUP BY a.kind ORDER BY 1 LIMIT 5;
SELECT id, rank FROM (SELECT id, row_number() OVER (PARTITION BY kind ORDER BY price, id) AS rank
                      FROM item) WHERE rank = 100 ORDER BY id LIMIT 10;
SELECT length(group_concat(name, ',')) FROM (SELECT name FROM item ORDER BY body, name);

BEGIN;
UPDATE item SET body = body || name WHERE kind % 3 = 0;
DELETE FROM item WHERE kind % 7 = 1;
SAVEPOINT mark;
DELETE FROM item;
ROLLBACK TO mark;
COMMIT;
SELECT count(*), sum(length(body)) FROM item;

CREATE VIRTUAL TABLE text USING fts5 (name, body);
INSERT INTO text SELECT name, body || ' word' || kind FROM item WHERE id % 5 = 0;
SELECT count(*) FROM text WHERE text MATCH 'word10 OR word20';
INSERT INTO text (text) VALUES ('optimize');
SELECT count(*) FROM text WHERE text MATCH 'word3*';

SELECT json_array_length(json_group_array(json_object('id', id, 'name', name))) FROM item;
SELECT sum(json_extract(j, '$.b[1]')) FROM (SELECT json_object('a', name, 'b',
    json_array(id, kind)) AS j FROM item WHERE id <= 20000);
ANALYZE;
VACUUM;
PRAGMA wal_checkpoint (truncate);
