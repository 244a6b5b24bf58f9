# Small vectors are in R's own pages, which malloc gives; large ones are a malloc each.

set.seed(42)
say <- function(what, ...) cat(what, format(c(...), digits = 10), "\n")

live <- new.env()
for (n in seq_len(60000)) {
    key <- as.character((n * 7919) %% 2003)
    assign(key, if (n %% 50 == 0) numeric(n %% 20000) else rep(n, n %% 300), envir = live)
    if (n %% 3 == 0) rm(list = as.character(n %% 1000), envir = live) |> suppressWarnings()
}
say("churn", length(ls(live)), sum(vapply(ls(live), function(key) length(live[[key]]), 0)))

trees <- function(depth) if (depth == 0) NULL else list(trees(depth - 1), trees(depth - 1))
say("trees", length(unlist(rapply(trees(14), f = identity, how = "list"))), object.size(trees(10)))

frame <- data.frame(id = 1:20000, group = factor(1:20000 %% 37), value = (1:20000 * 7919) %% 1009)
say("frame", sum(aggregate(value ~ group, frame, mean)$value), nrow(merge(frame[1:3000, ], frame, by = "id")))
sorted <- frame[order(frame$value, -frame$id), ]
say("sorted", head(sorted$id), tail(sorted$id))
model <- lm(value ~ id + group, frame)
say("model", round(coef(model)[1:4], 6))

m <- matrix((1:40000 * 31) %% 101, 200) + diag(200) * 200
say("matrix", round(sum(solve(m, m %*% m) - m), 6), round(sum(svd(m)$d), 4), dim(qr.Q(qr(m))))
say("fft", round(Mod(fft(1:4096))[2:5], 4))

text <- paste0("item ", 1:20000, " of group ", 1:20000 %% 7)
say("text", sum(nchar(gsub("([a-z]+) ([0-9]+)", "\\2-\\1", text))), length(unique(sub(".*group ", "", text))),
    length(unlist(strsplit(text, "[ 1]", perl = TRUE))))
saveRDS(list(frame, text, m), "saved.rds")
again <- readRDS("saved.rds")
say("saved", identical(again, list(frame, text, m)))
write.csv(frame, "frame.csv", row.names = FALSE)
say("csv", sum(read.csv("frame.csv")$value))

parts <- parallel::mclapply(1:8, function(n) sum(sort(rep(n, 50000))), mc.cores = 2)
say("forked", unlist(parts))
say("evaluated", sum(vapply(1:500, function(n) eval(parse(text = paste0("(function(x) x + ", n, ")(1)"))), 0)))
count <- 0
for (n in 1:500) reg.finalizer(new.env(), function(e) count <<- count + 1)
invisible(gc(full = TRUE))
invisible(gc(full = TRUE))
say("finalised", count >= 490)
say("errors", tryCatch(stop("told"), error = conditionMessage))
pdf("plot.pdf", compress = FALSE)
plot(frame$id[1:500], frame$value[1:500], main = "a plot")
hist(frame$value)
invisible(dev.off())
say("plot", length(grep("^[0-9.]+ [0-9.]+ [lm]$", readLines("plot.pdf"))))
