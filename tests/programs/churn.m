1;

function say (what, varargin)
  printf ("%s", what);
  printf (" %.8g", varargin{:});
  printf ("\n");
end

function t = tree (depth)
  if (depth == 0) t = {}; else t = {tree(depth - 1), tree(depth - 1)}; end
end

function n = leaves (t)
  if (isempty (t)) n = 1; else n = leaves (t{1}) + leaves (t{2}); end
end

live = containers.Map ("KeyType", "double", "ValueType", "any");
for n = 1:4000
  live(mod (n * 7919, 503)) = ones (1, mod (n * 37, 3000));
  if (mod (n, 3) == 0 && isKey (live, mod (n, 200)))
    remove (live, mod (n, 200));
  end
end
say ("churn", live.Count, sum (cellfun (@numel, values (live))));
say ("trees", leaves (tree (12)));

m = mod (reshape (1:40000, 200, 200) * 31, 101) + 200 * eye (200);
say ("matrix", round (sum (sum (m \ (m * m) - m)) * 1e6), round (sum (svd (m)) * 1e3), rank (m));
s = sparse (mod ((1:5000) * 7, 1000) + 1, mod ((1:5000) * 13, 1000) + 1, 1:5000) + speye (1000);
say ("sparse", nnz (s), round (norm (s * (s \ ones (1000, 1)) - 1)));
say ("fft", round (abs (fft (1:4096)(2:5)) * 1e3));

text = sprintf ("item %d of group %d\n", [1:5000; mod(1:5000, 7)]);
lines = strsplit (text, "\n");
say ("text", numel (lines), numel (regexprep (text, '([a-z]+) (\d+)', '$2-$1')), numel (unique (lines)));
printf ("%s\n", hash ("md5", text));
c = num2cell (1:2000);
for n = 1:2000
  c{n} = struct ("n", n, "name", repmat ("x", 1, mod (n, 300)), "part", {{n, {n}}});
end
say ("cells", sum (cellfun (@(e) e.n + numel (e.name), c)));
save ("-binary", "saved.mat", "c", "m");
again = load ("saved.mat");
say ("saved", isequal (again.c, c), isequal (again.m, m));
sums = 0;
for n = 1:1000
  sums += eval (sprintf ("(@(x) x + %d) (1)", n));
end
say ("evaluated", sums);
try
  error ("told");
catch e
  printf ("%s\n", e.message);
end
[status, out] = system ("echo a process");
printf ("%d %s", status, out);
