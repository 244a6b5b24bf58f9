/* main.c - interpreter [--check] [SCRIPT]: runs a script, or what is on standard input.
 *
 * Exits with 0; 2 if the script, or something else, failed; with --check 1 if reference counts are wrong
 * at the script's end, or objects remain when all that held them is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "eval.h"

enum { GOOD, REMAINS, BAD };

/* The whole file, and a 0; the caller frees it. NULL: it cannot be read. */
static char *contents(FILE *file)
{
    size_t length = 0, room = 4096;
    char *text = arn_malloc(room);
    while (text != NULL) {
        length += fread(text + length, 1, room - length - 1, file);
        if (length < room - 1)
            break;
        room *= 2;
        char *larger = arn_realloc(text, room);
        if (larger == NULL)
            arn_free(text);
        text = larger;
    }
    if (text != NULL)
        text[length] = '\0';
    return text;
}

static int complain(const char *what)
{
    fprintf(stderr, "interpreter: %s\n", what);
    return BAD;
}

static void report(void *object, long extra, void *context)
{
    (void)context;
    fprintf(stderr, "interpreter: a count of %zu, %+ld: ", arn_refcount(object), extra);
    fprintf(stderr, "%s\n", value_type_name(object));
}

/* What the interpreter holds at the script's end, and what refers to what, is all that was counted. */
static bool counts_are_true(const struct interpreter *in, struct node *tree)
{
    void *const all[] = {in->globals, in->none, tree};
    void *held[3];
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        if (all[i] != NULL)
            held[count++] = all[i];
    }
    return arn_verify(held, count, report, NULL) == 0;
}

static bool nothing_remains(void)
{
    size_t count = objects_alive();
    if (count > 0)
        fprintf(stderr, "interpreter: %zu objects remain\n", count);
    return count == 0;
}

static int interpret(const char *text, bool check)
{
    struct interpreter in;
    struct node *tree = NULL;
    bool good =
        interpreter_begin(&in) && parse(text, &tree, &in.failure) && interpreter_run(&in, tree);
    fflush(stdout);
    if (!good)
        fprintf(stderr, "line %d: %s\n", in.failure.line, in.failure.message);
    bool is_counted = !check || counts_are_true(&in, tree);
    interpreter_end(&in);
    arn_clear(&tree);
    bool released = !check || nothing_remains();
    return !is_counted || !released ? REMAINS : good ? GOOD : BAD;
}

int main(int count, char **arguments)
{
    bool check = count > 1 && strcmp(arguments[1], "--check") == 0;
    const char *path = arguments[1 + check];
    if (count > 2 + check || (path != NULL && path[0] == '-'))
        return complain("usage: interpreter [--check] [SCRIPT]");
    FILE *file = path == NULL ? stdin : fopen(path, "r");
    char *text = file == NULL ? NULL : contents(file);
    if (file != NULL)
        fclose(file);
    if (text == NULL)
        return complain("the script cannot be read");
    int status = values_begin() && parser_begin() ? interpret(text, check) : complain("no memory");
    arn_free(text);
    return status;
}
