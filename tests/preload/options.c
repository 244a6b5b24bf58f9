/* options.c - ARENITE_OPTIONS as a user sees it: shown, refused, and what it changes. */
#include <ctype.h>
#include <malloc.h>
#include <sys/stat.h>

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

/* Runs this program again with an stderr that keeps each write(2) apart; returns how many there were of
 * the library's, and leaves the last in said.text. The child's number goes to *child. */
static size_t writes_of(const char *mode, pid_t *child)
{
    int ends[2];
    size_t count = 0;
    ssize_t got;
    char packet[4097];
    CHECK(pipe2(ends, O_DIRECT) == 0);
    *child = fork();
    CHECK(*child >= 0);
    if (*child == 0) {
        alarm(60);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        setenv("ARENITE_OPTIONS", "stats=exit", 1);
        execl("/proc/self/exe", "some/where/again", mode, NULL);
        _exit(127);
    }
    close(ends[1]);
    said.text[0] = '\0';
    while ((got = read(ends[0], packet, sizeof packet - 1)) > 0 || (got < 0 && errno == EINTR)) {
        packet[got < 0 ? 0 : got] = '\0';
        if (strncmp(packet, "arenite: ", 9) != 0)
            continue;
        count++;
        strcpy(said.text, packet);
    }
    close(ends[0]);
    CHECK(waitpid(*child, &said.status, 0) == *child);
    if (said.status != 0) {
        dprintf(2, "%s: status %x\n", mode, (unsigned)said.status);
        _exit(1);
    }
    return count;
}

/* All in one write, with whose they are, whatever the program made of its stderr. */
static void statistics_together(void)
{
    static const char *const modes[] = {"hold", "close stderr", "replace stderr",
                                        "close all but stderr"};
    char title[100];
    pid_t child;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        size_t count = writes_of(modes[i], &child);
        snprintf(title, sizeof title, "arenite: statistics of again, process %d\n", (int)child);
        if (count == 1 && strncmp(said.text, title, strlen(title)) == 0 &&
            strstr(said.text, "\narenite: used bytes ") != NULL &&
            strstr(said.text, "\narenite: idle heaps ") != NULL && lines(said.text) == 13)
            continue;
        dprintf(2, "%s: %zu writes; the last, where '%s' should begin:\n%s", modes[i], count, title,
                said.text);
        _exit(1);
    }
    /* Nothing left to write to; and least of all to the program's own files. */
    CHECK(writes_of("close all", &child) == 0);
    CHECK(writes_of("replace all", &child) == 0);
    if (writes_of("strange name", &child) == 1 &&
        strncmp(said.text, "arenite: statistics of a?b?", 27) == 0)
        return;
    dprintf(2, "a strange name: %s", said.text);
    _exit(1);
}

static void effects(void)
{
    with("map_threshold=1M", "expect a map");
    with("map_threshold=8M", "expect no map");
    with("purge_budget=0", "expect little dirty");
    with("purge_budget=64M", "expect much dirty");
}

/* ---- what the second program does ---- */

static void close_from(int first)
{
    for (int fd = first; fd < 1024; fd++)
        close(fd);
}

/* The file of the program, at all of these numbers, is empty as a parent that waits sees it. */
static void expect_untouched(int first, int last)
{
    char name[] = "/tmp/arenite-XXXXXX";
    struct stat status;
    int file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int fd = first; fd <= last; fd++)
            if (fd != file)
                dup2(file, fd);
        exit(0);
    }
    CHECK(waitpid(child, &said.status, 0) == child && said.status == 0);
    CHECK(fstat(file, &status) == 0 && status.st_size == 0);
    _exit(0);
}

/* Makes something of the descriptors, and ends. */
static int with_descriptors(const char *mode)
{
    free(malloc(100)); /* the options are read */
    if (strcmp(mode, "close stderr") == 0)
        close(2);
    else if (strcmp(mode, "replace stderr") == 0)
        dup2(open("/dev/null", O_WRONLY), 2);
    else if (strcmp(mode, "close all but stderr") == 0)
        close_from(3);
    else if (strcmp(mode, "close all") == 0)
        close_from(0);
    else if (strcmp(mode, "replace all") == 0)
        expect_untouched(0, 1023);
    else
        strcpy(program_invocation_short_name, "a\nb\33");
    return 0;
}

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
    if (strstr(mode, "close") != NULL || strstr(mode, "replace") != NULL ||
        strcmp(mode, "strange name") == 0)
        return with_descriptors(mode);
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
    statistics_together();
    effects();
    return 0;
}
