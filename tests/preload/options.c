/* options.c - ARENITE_OPTIONS as a user sees it: shown, refused, and what it changes. */
#include <ctype.h>
#include <malloc.h>
#include <stdbool.h>
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
                                       "map_threshold",  "guard_rate", "perturb",
                                       "deepbind"};
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

/* One write of the library's: whose it is, and all figures. Says the process's number. */
static pid_t told_by(const char *name, const char *text)
{
    char title[400];
    size_t length =
        (size_t)snprintf(title, sizeof title, "arenite: statistics of %s, process ", name);
    if (strncmp(text, title, length) == 0 && isdigit((unsigned char)text[length]) &&
        text[length + strspn(text + length, "0123456789")] == '\n' &&
        strstr(text, "\narenite: used bytes ") != NULL &&
        strstr(text, "\narenite: idle heaps ") != NULL && lines(text) == 13)
        return (pid_t)atoi(text + length);
    dprintf(2, "where '%s' should begin:\n%s", title, text);
    _exit(1);
}

/* Runs this program again, with an stderr that keeps each write(2) apart. Expects `writes` of the library's,
 * each of another process with this name; the one that is started is among them, and ends well. */
static void expect_writes(const char *started_as, const char *name, const char *mode, size_t writes)
{
    int ends[2];
    size_t count = 0;
    ssize_t got;
    bool own = writes == 0;
    pid_t tellers[8];
    char packet[4097];
    CHECK(pipe2(ends, O_DIRECT | O_CLOEXEC) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(300);
        dup2(ends[1], 2);
        setenv("ARENITE_OPTIONS", "stats=exit", 1);
        execl("/proc/self/exe", started_as, mode, NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], packet, sizeof packet - 1)) > 0 || (got < 0 && errno == EINTR)) {
        packet[got < 0 ? 0 : got] = '\0';
        if (strncmp(packet, "arenite: ", 9) != 0) {
            dprintf(2, "%s", packet); /* of a CHECK */
            continue;
        }
        pid_t teller = told_by(name, packet);
        for (size_t i = 0; i < count; i++)
            CHECK(tellers[i] != teller);
        CHECK(count < sizeof tellers / sizeof *tellers);
        tellers[count++] = teller;
        own = own || teller == child;
    }
    close(ends[0]);
    CHECK(waitpid(child, &said.status, 0) == child);
    if (said.status == 0 && count == writes && own)
        return;
    dprintf(2, "%s: status %x, %zu writes; expected are %zu\n", mode, (unsigned)said.status, count,
            writes);
    _exit(1);
}

/* All in one write, with whose they are, whatever the program made of its stderr. */
static void statistics_together(void)
{
    expect_writes("again", "again", "hold", 1);
    expect_writes("some/where/again", "again", "close stderr", 1);
    expect_writes("again", "again", "replace stderr", 1);
    expect_writes("again", "again", "close all but stderr", 1);
    expect_writes("again", "again", "fork", 5);
    expect_writes("again", "again", "execute", 2);
    /* Nothing is left to write to; and least of all are the program's own files. */
    expect_writes("again", "again", "close all", 0);
    expect_writes("again", "again", "replace all", 0);
    expect_writes("again", "again", "replace the copy", 1);
    with("misuse=ignore", "find no copy"); /* nobody asked for statistics */
}

static void statistics_with_few_descriptors(void)
{
    struct rlimit usual, low;
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    low = usual;
    low.rlim_cur = 64;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    expect_writes("again", "again", "close stderr", 1);
    CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
}

static void statistics_names(void)
{
    char name[300], cut[65];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memset(cut, 'n', sizeof cut - 1);
    cut[sizeof cut - 1] = '\0';
    expect_writes(name, cut, "hold", 1);
    expect_writes("a\nb\33", "a?b?", "hold", 1);
    expect_writes("", "?", "hold", 1);
    expect_writes("again", program_is_static() ? "e" : "again", "write over the name", 1);
}

/* A pipe that nobody reads is the end of whoever writes to it; statistics are no reason to end so. */
static void nobody_reads(void)
{
    char text[8] = "";
    int ends[2], out[2];
    CHECK(pipe(ends) == 0 && pipe(out) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        alarm(300);
        dup2(ends[1], 2);
        dup2(out[1], 1);
        for (size_t i = 0; i < 2; i++) {
            close(ends[i]);
            close(out[i]);
        }
        setenv("ARENITE_OPTIONS", "stats=exit", 1);
        execl("/proc/self/exe", "again", "print", NULL);
        _exit(127);
    }
    close(ends[0]);
    close(ends[1]);
    close(out[1]);
    expect_success(child, "nobody reads stderr");
    CHECK(read(out[0], text, sizeof text) == 6 && memcmp(text, "later\n", 6) == 0);
    close(out[0]);
}

/* Removed already. */
static int temporary_file(void)
{
    char name[] = "/tmp/arenite-XXXXXX";
    int file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0);
    return file;
}

/* Runs this program again with this file, which is closed here, as stderr. */
static void run_with_stderr(int file, const char *mode, const char *what)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(300);
        dup2(file, 2);
        close(file);
        setenv("ARENITE_OPTIONS", "stats=exit", 1);
        execl("/proc/self/exe", "again", mode, NULL);
        _exit(127);
    }
    close(file);
    expect_success(child, what);
}

/* Without a descriptor left, a file system may give the number of a removed file to a new one. */
static void number_again(void)
{
    run_with_stderr(temporary_file(), "number again", "a file with stderr's number");
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

/* Ends with a file of the program's at all these numbers; a parent that waits sees that nothing came into it. */
static void expect_untouched(int file, int first, int last)
{
    struct stat status;
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
}

/* A descriptor other than 2 for the same file: the library's, for nobody else has one. -1: none. */
static int copy_of_stderr(void)
{
    struct stat wanted, found;
    CHECK(fstat(2, &wanted) == 0);
    for (int fd = 3; fd < 1024; fd++)
        if (fstat(fd, &found) == 0 && found.st_dev == wanted.st_dev &&
            found.st_ino == wanted.st_ino)
            return fd;
    return -1;
}

/* A file of ours gets the number of the one that stderr was, if that file system does so. */
static void number_again_inside(void)
{
    enum { TRIES = 64 };
    struct stat stderr_was, made;
    CHECK(fstat(2, &stderr_was) == 0 && stderr_was.st_nlink == 0);
    close_from(0);
    for (int i = 0; i < TRIES; i++) {
        int file = temporary_file();
        if (fstat(file, &made) == 0 && made.st_ino == stderr_was.st_ino) {
            expect_untouched(file, 2, 2);
            break;
        }
    }
    _exit(0);
}

/* Four children end at the same time as this program does. */
static void fork_four(void)
{
    int gate[2];
    char byte;
    CHECK(pipe(gate) == 0);
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            close(gate[1]);
            CHECK(read(gate[0], &byte, 1) == 0);
            exit(0);
        }
    }
    close(gate[1]);
}

/* By way of a child that shares our memory; then one that is to find no descriptor of ours. */
static void execute(void)
{
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "again", "hold", NULL);
        _exit(127);
    }
    expect_success(child, "another program");
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unsetenv("ARENITE_OPTIONS");
        execl("/proc/self/exe", "again", "find no copy", NULL);
        _exit(127);
    }
    expect_success(child, "a program that should not have our descriptor");
}

/* Makes something of the descriptors, and ends. False: it is no such mode. */
static bool with_descriptors(const char *mode)
{
    free(malloc(100)); /* the options are read */
    if (strcmp(mode, "close stderr") == 0) {
        close(2);
    } else if (strcmp(mode, "replace stderr") == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
    } else if (strcmp(mode, "close all but stderr") == 0) {
        close_from(3);
    } else if (strcmp(mode, "close all") == 0) {
        close_from(0);
    } else if (strcmp(mode, "replace all") == 0) {
        expect_untouched(temporary_file(), 0, 1023);
        _exit(0);
    } else if (strcmp(mode, "replace the copy") == 0) {
        int copy = copy_of_stderr();
        CHECK(copy >= 10 && dup2(open("/dev/null", O_WRONLY), copy) == copy);
    } else if (strcmp(mode, "fork") == 0) {
        fork_four();
    } else if (strcmp(mode, "execute") == 0) {
        execute();
    } else if (strcmp(mode, "find no copy") == 0) {
        CHECK(copy_of_stderr() == -1);
    } else if (strcmp(mode, "number again") == 0) {
        number_again_inside();
    } else if (strcmp(mode, "write over the name") == 0) {
        strcpy(program_invocation_short_name, "e");
    } else if (strcmp(mode, "print") == 0) {
        puts("later"); /* written after the statistics */
    } else {
        return false;
    }
    return true;
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
    if (with_descriptors(mode))
        return 0;
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
    statistics_with_few_descriptors();
    statistics_names();
    nobody_reads();
    number_again();
    effects();
    return 0;
}
