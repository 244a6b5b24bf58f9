/* diag.c - lines on stderr. */
#include "diag.h"

#include <string.h>

#include "options.h"
#include "os.h"

enum { STDERR = 2 };

void arn__line_bytes(struct line *line, const char *text, size_t bytes)
{
    size_t room = sizeof line->text - 1 - line->length; /* 1: the newline */
    if (bytes > room)
        bytes = room;
    memcpy(line->text + line->length, text, bytes);
    line->length += bytes;
}

void arn__line_text(struct line *line, const char *text)
{
    arn__line_bytes(line, text, strlen(text));
}

static void number(struct line *line, uint64_t value, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    arn__line_bytes(line, digits + at, sizeof digits - at);
}

void arn__line_decimal(struct line *line, uint64_t value)
{
    number(line, value, 10);
}

void arn__line_hex(struct line *line, uint64_t value)
{
    arn__line_text(line, "0x");
    number(line, value, 16);
}

void arn__line_write(struct line *line, int fd)
{
    line->text[line->length++] = '\n';
    arn__os_write(fd, line->text, line->length);
    line->length = 0;
}

void arn__lines_add(struct lines *lines, struct line *line)
{
    line->text[line->length++] = '\n';
    if (line->length <= sizeof lines->text - lines->length) {
        memcpy(lines->text + lines->length, line->text, line->length);
        lines->length += line->length;
    }
    line->length = 0;
}

void arn__lines_write(struct lines *lines, int fd)
{
    arn__os_write(fd, lines->text, lines->length);
    lines->length = 0;
}

/* Set once, as the options are read. */
static struct {
    bool known;
    struct os_file file; /* what stderr was */
    int fd;              /* a second descriptor for it, or -1 */
} kept;

void arn__stderr_keep(void)
{
    /* Out of the way of programs that count on low numbers, within the usual limit of 1024. */
    static const int numbers[] = {500, 100, 10};
    kept.known = arn__os_file(STDERR, &kept.file);
    kept.fd = -1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && kept.known && kept.fd < 0; i++)
        kept.fd = arn__os_duplicate(STDERR, numbers[i]);
}

/* The program may have closed what it did not open, and opened something else by that number. */
static bool leads_there(int fd)
{
    struct os_file file;
    return kept.known && fd >= 0 && arn__os_file(fd, &file) && file.device == kept.file.device &&
           file.number == kept.file.number;
}

int arn__stderr_kept(void)
{
    return leads_there(kept.fd) ? kept.fd : leads_there(STDERR) ? STDERR : -1;
}

void arn__misuse(const char *function, const void *pointer, const char *reason)
{
    arn__misuse_of(function, pointer, reason, NULL);
}

void arn__misuse_of(const char *function, const void *pointer, const char *reason,
                    const char *type_name)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, function);
    arn__line_text(&line, "(");
    arn__line_hex(&line, (uintptr_t)pointer);
    arn__line_text(&line, "): ");
    arn__line_text(&line, reason);
    if (type_name != NULL) {
        arn__line_text(&line, ": an object of type ");
        arn__line_text(&line, type_name);
    }
    arn__line_write(&line, STDERR);
    if (arn__options.misuse == MISUSE_ABORT)
        arn__os_abort();
}

void arn__broken(const char *file, int line_number, const char *what)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, file);
    arn__line_text(&line, ":");
    arn__line_decimal(&line, (uint64_t)line_number);
    arn__line_text(&line, ": broken invariant: ");
    arn__line_text(&line, what);
    arn__line_write(&line, STDERR);
    arn__os_abort();
}
