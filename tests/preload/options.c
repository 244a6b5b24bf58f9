/* options.c - ARENITE_OPTIONS as a user sees it: shown, refused, and what it changes. */
#include <ctype.h>
#include <malloc.h>

#include "self.h"

static struct said said;

static const char *with(const char *options, const char *mode)
{
    run_again(&said, mode, "ARENITE_OPTIONS", options);
    if (!WIFEXITED(said.status) || WEXITSTATUS(said.status) != 0) {
        dprintf(2, "ARENITE_OPTIONS=%s: status %x\n%s\n", options, (unsigned)said.status,
                said.text);
        _exit(1);
    }
    return said.text;
}

static void expect_said(const char *options, const char *expected)
{
    if (strcmp(with(options, "quiet"), expected) == 0)
        return;
    dprintf(2, "ARENITE_OPTIONS=%s said\n%swhere expected is\n%s", options, said.text, expected);
    _exit(1);
}

static void expect_part(const char *options, const char *mode, const char *part)
{
    if (strstr(with(options, mode), part) != NULL)
        return;
    dprintf(2, "ARENITE_OPTIONS=%s said\n%swithout\n%s", options, said.text, part);
    _exit(1);
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void show(void)
{
    static const char *const keys[] = {"show",           "stats",      "purge_budget",
                                       "purge_delay_ms", "huge_pages", "misuse",
                                       "map_threshold",  "perturb",    "deepbind"};
    char line[100];
    with("show=1", "quiet");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(line, sizeof line, "arenite: option %s=", keys[i]);
        const char *at = strstr(said.text, line);
        CHECK(at != NULL);
        const char *source = strchr(at, '(');
        CHECK(source != NULL && source < strchr(at, '\n'));
        const char *expected = i == 0 ? "(ARENITE_OPTIONS)\n" : "(default)\n";
        CHECK(strncmp(source, expected, strlen(expected)) == 0);
    }
    expect_part("purge_budget=3M,show=1", "quiet",
                "arenite: option purge_budget=3145728 (ARENITE_OPTIONS)\n");
    expect_part("show=1,purge_budget=128K", "quiet",
                "arenite: option purge_budget=131072 (ARENITE_OPTIONS)\n");
    expect_part("show=1,map_threshold=1G", "quiet",
                "arenite: option map_threshold=1073741824 (ARENITE_OPTIONS)\n");
    expect_part("show=1,huge_pages=always", "quiet",
                "arenite: option huge_pages=always (ARENITE_OPTIONS)\n");
    expect_part("show=1, purge_budget=1.5M", "quiet",
                "arenite: option purge_budget=1572864 (ARENITE_OPTIONS)\n");
    expect_part("show=1,purge_budget=1T,purge_delay_ms=2s", "quiet",
                "arenite: option purge_budget=1099511627776 (ARENITE_OPTIONS)\n"
                "arenite: option purge_delay_ms=2000 (ARENITE_OPTIONS)\n");
    /* The last one counts. */
    expect_part("misuse=ignore,show=1,misuse=abort", "quiet",
                "arenite: option misuse=abort (ARENITE_OPTIONS)\n");
}

/* One line each; the program runs on, and what is right is still heard. */
static void refused(void)
{
    static const char *const wrong[] = {"purge_bugdet=1M",
                                        "nonsense",
                                        "stats=maybe",
                                        "purge_budget=12X",
                                        "purge_budget=-1",
                                        "purge_budget=",
                                        "purge_delay_ms=1K",
                                        "map_threshold=12",
                                        "=",
                                        "show",
                                        "huge_pages=Auto",
                                        "purge_budget=99999999999999999999",
                                        "misuse=abort ",
                                        "purge_budget=1MM"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        with(wrong[i], "quiet");
        if (lines(said.text) != 1 || strncmp(said.text, "arenite: ARENITE_OPTIONS: ", 26) != 0) {
            dprintf(2, "ARENITE_OPTIONS=%s said\n%s", wrong[i], said.text);
            _exit(1);
        }
    }
    expect_part("purge_bugdet=1M", "quiet", "'purge_bugdet'; the nearest is purge_budget\n");
    expect_part("huge_page=off", "quiet", "; the nearest is huge_pages\n");
    expect_part("misues=ignore", "quiet", "; the nearest is misuse\n");
    expect_part("misuse=ingore", "quiet", "abort or ignore");
    expect_part("map_threshold=12", "quiet", "'map_threshold=12'; use 1M to 1G ");
    expect_part("nonsense=1,show=1,misuse=sometimes,purge_delay_ms=7", "quiet",
                "arenite: option purge_delay_ms=7 (ARENITE_OPTIONS)\n");
    CHECK(strstr(said.text, "'nonsense'") != NULL &&
          strstr(said.text, "'misuse=sometimes'") != NULL);
    static char longest[9000];
    memset(longest, 'x', sizeof longest - 1);
    with(longest, "quiet");
    CHECK(lines(said.text) == 1 && strlen(said.text) < 300);
}

static void silence(void)
{
    expect_said(NULL, "");
    expect_said("", "");
    expect_said(",,,", "");
    expect_said("misuse=ignore,purge_budget=0,purge_delay_ms=0,huge_pages=off", "");
    run_again(&said, "quiet", "ARENITE_OPTION", "show=1"); /* another variable */
    CHECK(said.status == 0 && said.text[0] == '\0');
}

static void statistics(void)
{
    static const char *const figures[] = {"used bytes",    "used blocks",  "free bytes",
                                          "dirty bytes",   "opened bytes", "reserved bytes",
                                          "metadata bytes"};
    with("stats=exit", "hold");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const char *at = strstr(said.text, figures[i]);
        CHECK(at != NULL && isdigit((unsigned char)at[strlen(figures[i]) + 1]));
    }
    CHECK(strtoul(strstr(said.text, "used bytes ") + 11, NULL, 10) >= 12345678);
    CHECK(with("stats=off", "hold")[0] == '\0');
}

static void effects(void)
{
    with("map_threshold=1M", "expect a map");
    with("map_threshold=8M", "expect no map");
    with("purge_budget=0", "expect little dirty");
    with("purge_budget=64M", "expect much dirty");
}

/* ---- what the second program does ---- */

static int again(const char *mode)
{
    if (strcmp(mode, "quiet") == 0) {
        free(malloc(100));
        return 0;
    }
    if (strcmp(mode, "hold") == 0) {
        static void *held;
        held = malloc(12345678);
        CHECK(held != NULL);
        return 0;
    }
    void *block = malloc(3 << 20);
    CHECK(block != NULL);
    memset(block, 1, 3 << 20);
    if (strcmp(mode, "expect a map") == 0)
        CHECK(mallinfo2().hblks == 1);
    if (strcmp(mode, "expect no map") == 0)
        CHECK(mallinfo2().hblks == 0);
    void *more[10];
    for (size_t i = 0; i < 10; i++) {
        CHECK((more[i] = malloc(1 << 20)) != NULL);
        memset(more[i], 1, 1 << 20);
    }
    for (size_t i = 0; i < 10; i++)
        free(more[i]);
    if (strcmp(mode, "expect little dirty") == 0)
        CHECK(mallinfo2().keepcost <= 1 << 20);
    if (strcmp(mode, "expect much dirty") == 0)
        CHECK(mallinfo2().keepcost >= 10 << 20);
    free(block);
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return again(arguments[1]);
    silence();
    show();
    refused();
    statistics();
    effects();
    return 0;
}
