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

void arn__lines_write_quietly(struct lines *lines, int fd)
{
    arn__os_write_quietly(fd, lines->text, lines->length);
    lines->length = 0;
}

/* Written once, as the options are read. */
static struct {
    bool known;          /* whether `file` is */
    struct os_file file; /* what stderr was */
    uint64_t birth_ns;   /* of that file; 0: not known */
    int fd;              /* a second descriptor for it, or -1 */
    char program[65];
} kept;

/* A copy, for programs write over the original to show what they do (setproctitle). */
static void keep_program(void)
{
    const char *name = arn__os_program();
    for (size_t i = 0; i < sizeof kept.program - 1 && name != NULL && name[i] != '\0'; i++) {
        bool plain = (unsigned char)name[i] >= ' ' && name[i] != 127;
        kept.program[i] = plain ? name[i] : '?';
    }
}

void arn__exit_prepare(void)
{
    /* Out of the way of programs that count on low numbers, within the usual limit of 1024. */
    static const int numbers[] = {500, 100, 10};
    keep_program();
    kept.fd = -1;
    kept.known = arn__os_file(STDERR, &kept.file);
    if (!kept.known)
        return;
    kept.birth_ns = arn__os_birth_ns(STDERR);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && kept.fd < 0; i++)
        kept.fd = arn__os_duplicate(STDERR, numbers[i]);
}

/* The program may have closed a descriptor, and opened another file by its number. */
static bool leads_there(int fd)
{
    struct os_file file;
    return kept.known && fd >= 0 && arn__os_file(fd, &file) && file.device == kept.file.device &&
           file.number == kept.file.number;
}

int arn__exit_stderr(void)
{
    if (leads_there(kept.fd))
        return kept.fd;
    if (!leads_there(STDERR))
        return -1;
    /* If no descriptor led there for a while and the file was removed, a new file may have its number. */
    bool is_same =
        !kept.file.regular || (kept.birth_ns != 0 && arn__os_birth_ns(STDERR) == kept.birth_ns);
    return is_same ? STDERR : -1;
}

const char *arn__exit_program(void)
{
    /* In a static program libc's start sets the name after it has asked for its first blocks. */
    if (kept.program[0] == '\0')
        keep_program();
    return kept.program[0] == '\0' ? "?" : kept.program;
}

void arn__misuse(const char *function, const void *pointer, const char *reason)
{
    arn__misuse_of(function, pointer, reason, NULL);
}

void arn__line_misuse(struct line *line, const char *function, const void *pointer,
                      const char *reason)
{
    arn__line_text(line, "arenite: ");
    arn__line_text(line, function);
    arn__line_text(line, "(");
    arn__line_hex(line, (uintptr_t)pointer);
    arn__line_text(line, "): ");
    arn__line_text(line, reason);
}

void arn__misuse_of(const char *function, const void *pointer, const char *reason,
                    const char *type_name)
{
    struct line line = {.length = 0};
    arn__line_misuse(&line, function, pointer, reason);
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
