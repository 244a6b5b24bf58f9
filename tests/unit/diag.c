/* diag.c - lines that are cut rather than overrun. */
#include "diag.h"

#include <string.h>

#include "options.h"
#include "said.h"
#include "shim.h"

static const char *written(struct line *line, struct said *said)
{
    said_begin(said);
    arn__line_write(line, 2);
    return said_end(said);
}

TEST(diag, numbers_are_written_whole)
{
    struct line line = {.length = 0};
    struct said said;
    arn__line_decimal(&line, 0);
    arn__line_text(&line, " ");
    arn__line_decimal(&line, UINT64_MAX);
    arn__line_text(&line, " ");
    arn__line_hex(&line, 0);
    arn__line_text(&line, " ");
    arn__line_hex(&line, UINT64_MAX);
    arn__line_text(&line, " ");
    arn__line_hex(&line, 0x7f0123456789abcd);
    EXPECT_STREQ(written(&line, &said),
                 "0 18446744073709551615 0x0 0xffffffffffffffff 0x7f0123456789abcd\n");
    EXPECT_EQ(line.length, 0); /* empty again */
    arn__line_text(&line, "more");
    EXPECT_STREQ(written(&line, &said), "more\n");
}

TEST(diag, what_does_not_fit_is_cut_and_the_newline_kept)
{
    for (size_t length = 200; length < 300; length++) {
        char text[300];
        memset(text, 'a', sizeof text);
        text[length] = '\0';
        struct {
            struct line line;
            char guard[64];
        } guarded = {.line.length = 0};
        struct said said;
        arn__line_text(&guarded.line, text);
        arn__line_text(&guarded.line, "bc");
        arn__line_decimal(&guarded.line, 12345);
        EXPECT_LE(guarded.line.length, sizeof guarded.line.text - 1);
        const char *out = written(&guarded.line, &said);
        size_t expected = length + 7 < 255 ? length + 7 : 255;
        ASSERT_EQ(strlen(out), expected + 1);
        EXPECT_EQ(out[expected], '\n');
        for (size_t i = 0; i < sizeof guarded.guard; i++)
            ASSERT_EQ(guarded.guard[i], 0);
    }
}

TEST(diag, lines_that_do_not_fit_are_left_out_whole)
{
    struct {
        struct lines lines;
        char guard[64];
    } guarded = {.lines.length = 0};
    struct said said;
    struct line line = {.length = 0};
    for (unsigned i = 0; i < 6; i++) {
        char text[250];
        memset(text, 'a' + (int)i, sizeof text);
        arn__line_bytes(&line, text, i < 4 ? sizeof text : i == 4 ? 19 : 0);
        arn__lines_add(&guarded.lines, &line);
        EXPECT_EQ(line.length, 0);
    }
    said_begin(&said);
    arn__lines_write(&guarded.lines, 2);
    const char *text = said_end(&said);
    ASSERT_EQ(strlen(text), sizeof guarded.lines.text); /* full: not even an empty line has room */
    EXPECT_CONTAINS(text, "dd\neeeeeeeeeeeeeeeeeee\n");
    EXPECT_EQ(guarded.lines.length, 0);
    for (size_t i = 0; i < sizeof guarded.guard; i++)
        ASSERT_EQ(guarded.guard[i], 0);
}

TEST(diag, a_broken_invariant_names_its_place_and_aborts)
{
    EXPECT_DEATH(arn__broken("file.c", 12, "two is two"),
                 "^arenite: file\\.c:12: broken invariant: two is two\n$");
}

TEST(diag, misuse_aborts_unless_it_is_to_be_ignored)
{
    EXPECT_DEATH(arn__misuse("free", (void *)0x10, "why"), "^arenite: free\\(0x10\\): why\n$");
    struct said said;
    said_begin(&said);
    arn__options.misuse = MISUSE_IGNORE;
    arn__misuse("free", NULL, "why");
    arn__options.misuse = MISUSE_ABORT;
    EXPECT_STREQ(said_end(&said), "arenite: free(0x0): why\n");
}
