/* print.c - statistics and comparisons as lines of text. */
#include "diag.h"
#include "site.h"
#include "snapshot.h"

static void add_change(struct line *line, ptrdiff_t change)
{
    arn__line_text(line, change < 0 ? "-" : "+");
    arn__line_decimal(line, change < 0 ? -(uint64_t)change : (uint64_t)change);
}

static void add_figures(struct line *line, const struct arn_trace_statistic *now)
{
    arn__line_decimal(line, now->bytes);
    arn__line_text(line, " bytes in ");
    arn__line_decimal(line, now->count);
}

static void add_origin(struct line *line, const struct arn_trace_statistic *now,
                       enum arn_trace_by by)
{
    if (by == ARN_TRACE_BY_TYPE) {
        /* A type begins with a pointer to its name. */
        arn__line_text(line, now->type == NULL ? " blocks" : " objects of type ");
        if (now->type != NULL)
            arn__line_text(line, *(const char *const *)now->type);
    } else if (by == ARN_TRACE_BY_MODULE) {
        arn__line_text(line, " from ");
        arn__line_module(line, now->frames[0]);
    } else {
        arn__line_text(line, " from ");
        arn__line_frame(line, now->frames[0]);
    }
}

static void print_group(const struct arn_trace_difference *difference, enum arn_trace_by by,
                        bool compared, int fd)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    if (compared) {
        add_change(&line, difference->bytes_more);
        arn__line_text(&line, " bytes, ");
        add_change(&line, difference->count_more);
        arn__line_text(&line, ": ");
    }
    add_figures(&line, &difference->now);
    add_origin(&line, &difference->now, by);
    arn__line_write(&line, fd);
    for (size_t i = 1; i < difference->now.frame_count; i++) {
        arn__line_text(&line, "arenite:   called from ");
        arn__line_frame(&line, difference->now.frames[i]);
        arn__line_write(&line, fd);
    }
}

static void print_sum(const struct groups *groups, enum arn_trace_by by, bool compared, int fd)
{
    static const char *const names[] = {" call sites", " tracebacks", " types", " modules"};
    struct arn_trace_difference sum = {.bytes_more = 0};
    for (size_t i = 0; i < groups->count; i++) {
        sum.now.bytes += groups->items[i].difference.now.bytes;
        sum.now.count += groups->items[i].difference.now.count;
        sum.bytes_more += groups->items[i].difference.bytes_more;
        sum.count_more += groups->items[i].difference.count_more;
    }
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: traced ");
    add_figures(&line, &sum.now);
    arn__line_text(&line, " blocks and objects, ");
    if (compared) {
        add_change(&line, sum.bytes_more);
        arn__line_text(&line, " bytes, ");
        add_change(&line, sum.count_more);
        arn__line_text(&line, "; ");
    }
    arn__line_decimal(&line, groups->count);
    arn__line_text(&line, names[by]);
    arn__line_write(&line, fd);
}

static int print(const arn_snapshot *older, const arn_snapshot *newer, enum arn_trace_by by,
                 size_t most, int fd)
{
    struct groups groups;
    if (arn__groups(&groups, older, newer, by) != 0)
        return -1;
    print_sum(&groups, by, older != NULL, fd);
    for (size_t i = 0; i < groups.count && i < most; i++)
        print_group(&groups.items[i].difference, by, older != NULL, fd);
    arn__groups_release(&groups);
    return 0;
}

int arn_trace_print(const arn_snapshot *snapshot, enum arn_trace_by by, size_t most, int fd)
{
    return print(NULL, snapshot, by, most, fd);
}

int arn_trace_print_compare(const arn_snapshot *older, const arn_snapshot *newer,
                            enum arn_trace_by by, size_t most, int fd)
{
    return print(older, newer, by, most, fd);
}
