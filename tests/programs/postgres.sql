-- ROWS is a number. Memory contexts of all kinds: sorts, hashes, arrays, text search, a procedural language.
CREATE TABLE item AS
SELECT i AS id, i * 7919 % 1000 AS kind, md5(i::text) AS name, repeat(md5((i % 977)::text), i % 30) AS body
FROM generate_series(1, ROWS) i;
CREATE INDEX ON item (name);
CREATE INDEX ON item USING gin (to_tsvector('simple', name));
ANALYZE item;

SELECT count(*), sum(kind), sum(length(body)), md5(string_agg(name, ',' ORDER BY name)) FROM item;
SET work_mem = '64kB';
SELECT md5(string_agg(name, '' ORDER BY body, name)) FROM item;
SELECT sum(n) FROM (SELECT kind, count(DISTINCT name) AS n FROM item GROUP BY kind) counts;
SET work_mem = '64MB';
SELECT count(*) FROM item a JOIN item b USING (kind) WHERE a.id < b.id AND b.id < 3000;
SELECT md5(array_agg(id ORDER BY name DESC)::text) FROM item;
SELECT sum(rank) FROM (SELECT rank() OVER (PARTITION BY kind ORDER BY name) FROM item) ranks;
SELECT count(*) FROM item WHERE to_tsvector('simple', name) @@ to_tsquery('simple', 'c4:*');
WITH RECURSIVE walk (id, path) AS (
    SELECT 1, ARRAY[1]
    UNION ALL SELECT (id * 31 + 7) % 5003, path || id FROM walk WHERE cardinality(path) < 1000)
SELECT sum(id), max(cardinality(path)) FROM walk;

CREATE TABLE document AS
SELECT id, jsonb_build_object('id', id, 'name', name, 'list', to_jsonb(ARRAY[kind, id])) AS data
FROM item WHERE id <= 10000 ORDER BY id;
UPDATE document SET data = data || jsonb_build_object('more', data) WHERE id % 3 = 0;
DELETE FROM document WHERE id % 10 = 0;
SELECT count(*), sum((data #>> '{more,list,1}')::int), md5(string_agg(data::text, '' ORDER BY id))
FROM document;

DO $$
DECLARE
    parts text[] := '{}';
    n int := 0;
BEGIN
    FOR i IN 1..2000 LOOP
        parts := parts || repeat('x', i % 100);
        BEGIN
            n := n + 1 / (i % 5);
        EXCEPTION WHEN division_by_zero THEN
            n := n - 1;
        END;
    END LOOP;
    CREATE TEMP TABLE told AS SELECT n, length(array_to_string(parts, '')) AS total;
END $$;
SELECT * FROM told;
VACUUM FULL item;
REINDEX TABLE document;
SELECT count(*) FROM item, LATERAL regexp_matches(name, '([0-9])([a-f])\1', 'g');
