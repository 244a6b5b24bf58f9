# What does not take long even if each 500th allocation is a collection.

x <- lapply(1:200, function(n) rep(letters, length.out = n))
cat(sum(lengths(x)), length(unique(unlist(x))), "\n")
f <- function(n) if (n < 2) n else f(n - 1) + f(n - 2)
cat(f(14), "\n")
print(summary(as.integer(table(unlist(x)))))
print(solve(matrix(c(2, 1, 1, 3), 2)))
cat(toupper(paste(rev(strsplit("a b c", " ")[[1]]), collapse = "+")), "\n")
