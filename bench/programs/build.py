# Rows of dicts, lists, strings and tuples; made, read and dropped.
rows = {}
for i in range(150_000):
    rows[f"key {i}"] = {"number": i, "text": str(i) * 3, "list": [i, i + 1, (i,)]}
total = sum(len(row["text"]) for row in rows.values())
del rows
more = [[j] for j in range(500_000)]
assert total > 0 and len(more) == 500_000
