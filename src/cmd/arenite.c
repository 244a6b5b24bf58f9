/* arenite.c - the arenite command: picks the subcommand. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "record.h"
#include "run.h"
#include "say.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit status */
    const char *help;                  /* one line */
};

static int help_main(int argc, char **argv);

static const struct command commands[] = {
    {"help", help_main, "tell how to use arenite, or a COMMAND of it"},
    {"bench", bench_main, "compare arenite with other mallocs on the same work"},
    {"run", run_main, "run a program with arenite as its malloc"},
    {"record", record_main, "run a program and write a trace of its allocations"},
};
enum { COMMANDS = sizeof commands / sizeof *commands, NAMES_LONGEST = 16 };

static void usage(FILE *out)
{
    fputs("usage: arenite COMMAND [ARGUMENT]...\n"
          "       arenite help [COMMAND] | --help | --version\n"
          "\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n'arenite help COMMAND' tells more, and so does arenite(1).\n", out);
}

/* Edits that turn one word into the other (Levenshtein 1966); `name` is one of ours. */
static unsigned distance(const char *word, const char *name)
{
    unsigned row[NAMES_LONGEST + 1];
    size_t length = strlen(name);
    for (size_t j = 0; j <= length; j++)
        row[j] = (unsigned)j;
    for (; *word != '\0'; word++) {
        unsigned diagonal = row[0]++;
        for (size_t j = 1; j <= length; j++) {
            unsigned best = diagonal + (*word != name[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[length];
}

static const char *nearest(const char *word)
{
    const char *best = commands[0].name;
    for (size_t i = 1; i < COMMANDS; i++)
        if (distance(word, commands[i].name) < distance(word, best))
            best = commands[i].name;
    return best;
}

static bool either(const char *word, const char *brief, const char *full)
{
    return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

/* NULL: said that there is none. */
static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    if (*word == '-')
        say("unknown option '%s'; see 'arenite --help'", word);
    else
        say("unknown command '%s'; the nearest is '%s'", word, nearest(word));
    return NULL;
}

/* Every command tells of itself. */
static int help_main(int argc, char **argv)
{
    if (argc < 2 || either(argv[1], "-h", "--help") || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return printed(0);
    }
    const struct command *command = find_command(argv[1]);
    if (command == NULL)
        return STATUS_REFUSED;
    char *words[] = {argv[1], (char *)"--help", NULL};
    return command->run(2, words);
}

static int chosen(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return STATUS_REFUSED;
    }
    const char *word = argv[1];
    if (either(word, "-h", "--help")) {
        usage(stdout);
        return printed(0);
    }
    if (either(word, "-V", "--version")) {
        puts("arenite " ARN_VERSION);
        return printed(0);
    }
    const struct command *command = find_command(word);
    return command == NULL ? STATUS_REFUSED : command->run(argc - 1, argv + 1);
}

/* Not by exit: a leak checker that is preloaded for the program would report this command's texts, and
 * end with a status of its own. */
int main(int argc, char **argv)
{
    int status = chosen(argc, argv);
    fflush(NULL);
    _exit(status);
}
