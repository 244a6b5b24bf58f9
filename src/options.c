/* options.c - the table of options and its parser. No allocation, no stdio. */
#include "options.h"

#include <stdint.h>
#include <string.h>

#include "diag.h"
#include "os.h"

enum { STDERR = 2 };
enum { KEYS_LONGEST = 32 };
enum { PERTURB_MOST = 255 };
enum { GUARD_RATE_MOST = 1 << 30 };

struct options arn__options = {
    .purge_budget_bytes = (size_t)4 << 20,
    .purge_delay_ms = 1000,
    .huge = HUGE_AUTO,
    .map_threshold_bytes = (size_t)32 << 20,
};

enum kind { KIND_CHOICE, KIND_BYTES, KIND_MS, KIND_COUNT };

struct option {
    const char *key;
    enum kind kind;
    size_t *value;
    const char *choices[4]; /* KIND_CHOICE: the name of each value, in order */
    size_t least, most;     /* of the others: bounds, inclusive */
};

static const struct option table[] = {
    {"show", KIND_CHOICE, &arn__options.show, {"0", "1"}, 0, 0},
    {"stats", KIND_CHOICE, &arn__options.stats, {"off", "exit"}, 0, 0},
    {"purge_budget", KIND_BYTES, &arn__options.purge_budget_bytes, {0}, 0, SIZE_MAX / 4},
    {"purge_delay_ms", KIND_MS, &arn__options.purge_delay_ms, {0}, 0, 1u << 30},
    {"huge_pages", KIND_CHOICE, &arn__options.huge, {"off", "auto", "always"}, 0, 0},
    {"misuse", KIND_CHOICE, &arn__options.misuse, {"abort", "ignore"}, 0, 0},
    {"map_threshold",
     KIND_BYTES,
     &arn__options.map_threshold_bytes,
     {0},
     (size_t)1 << 20,
     (size_t)1 << 30},
    {"guard_rate", KIND_COUNT, &arn__options.guard_rate, {0}, 0, GUARD_RATE_MOST},
    {"perturb", KIND_COUNT, &arn__options.perturb, {0}, 0, PERTURB_MOST},
    {"deepbind", KIND_CHOICE, &arn__options.deepbind, {"drop", "keep"}, 0, 0},
};
enum { OPTIONS = sizeof table / sizeof *table, CHOICES = 4 };

/* What may follow a number; each list begins with none and ends with the largest. */
struct unit {
    const char *name;
    size_t factor;
};
enum { UNITS_MOST = 5 };
static const struct unit byte_units[UNITS_MOST] = {{"", 1},
                                                   {"K", (size_t)1 << 10},
                                                   {"M", (size_t)1 << 20},
                                                   {"G", (size_t)1 << 30},
                                                   {"T", (size_t)1 << 40}};
static const struct unit time_units[UNITS_MOST] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}};
static const struct unit no_units[UNITS_MOST] = {{"", 1}};

/* Where each value is from; NULL: the default. */
static const char *sources[OPTIONS];

/* Edits that turn one word into the other (Levenshtein 1966), for "did you mean". */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
    unsigned row[KEYS_LONGEST + 1];
    size_t b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length];
}

static void complain(const char *source, const char *what, const char *text, size_t bytes,
                     const char *advice, const char *more)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, source);
    arn__line_text(&line, ": ");
    arn__line_text(&line, what);
    arn__line_text(&line, " '");
    arn__line_bytes(&line, text, bytes > 64 ? 64 : bytes);
    arn__line_text(&line, "'");
    arn__line_text(&line, advice);
    arn__line_text(&line, more);
    arn__line_write(&line, STDERR);
}

static void complain_key(const char *source, const char *key, size_t length)
{
    const char *nearest = table[0].key;
    unsigned best = ~0u;
    for (size_t i = 0; i < OPTIONS; i++) {
        unsigned d = distance(key, length, table[i].key);
        if (d < best) {
            best = d;
            nearest = table[i].key;
        }
    }
    complain(source, "unknown option", key, length, "; the nearest is ", nearest);
}

static bool equal(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Where the digits from `at` on end. */
static size_t digits_end(const char *text, size_t length, size_t at)
{
    while (at < length && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* False if it does not fit. */
static bool parse_digits(const char *digits, size_t count, size_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (size_t)(digits[i] - '0'), value))
            return false;
    return true;
}

/* The unit that the word names; a size's letter may be small. NULL: none does. */
static const struct unit *find_unit(const struct unit *units, const char *word, size_t length)
{
    char letter = 0;
    if (units == byte_units && length == 1) {
        letter = (char)(word[0] & ~0x20);
        word = &letter;
    }
    for (size_t i = 0; i < UNITS_MOST && units[i].name != NULL; i++)
        if (equal(word, length, units[i].name))
            return &units[i];
    return NULL;
}

/* What ".25" adds, rounded down: 0.25 of the unit. What is behind the sixth digit is less than a
 * millionth, and lets no product overflow. */
static size_t fraction_of(const struct unit *unit, const char *digits, size_t count)
{
    size_t value = 0, scale = 1;
    for (size_t i = 0; i < count && i < 6; i++) {
        value = value * 10 + (size_t)(digits[i] - '0');
        scale *= 10;
    }
    return value * unit->factor / scale;
}

/* Digits, a unit; with a unit above the smallest also a point and more digits, as in 1.5M. False on
 * anything else, or when it does not fit. */
static bool parse_number(const char *text, size_t length, const struct unit *units, size_t *value)
{
    size_t point = digits_end(text, length, 0), end = point, whole;
    if (point == 0 || !parse_digits(text, point, &whole))
        return false;
    if (point < length && text[point] == '.') {
        end = digits_end(text, length, point + 1);
        if (end == point + 1)
            return false;
    }
    const struct unit *unit = find_unit(units, text + end, length - end);
    if (unit == NULL || (end > point && unit->factor == 1) ||
        __builtin_mul_overflow(whole, unit->factor, value))
        return false;
    size_t fraction = end == point ? 0 : fraction_of(unit, text + point + 1, end - point - 1);
    return !__builtin_add_overflow(*value, fraction, value);
}

static const struct unit *units_of(const struct option *option)
{
    return option->kind == KIND_BYTES ? byte_units
           : option->kind == KIND_MS  ? time_units
                                      : no_units;
}

static bool set(const struct option *option, const char *text, size_t length)
{
    if (option->kind == KIND_CHOICE) {
        for (size_t i = 0; i < CHOICES && option->choices[i] != NULL; i++) {
            if (equal(text, length, option->choices[i])) {
                *option->value = i;
                return true;
            }
        }
        return false;
    }
    size_t value;
    if (!parse_number(text, length, units_of(option), &value) || value < option->least ||
        value > option->most)
        return false;
    *option->value = value;
    return true;
}

/* Sizes with the largest unit that is not more, as the table and the manual have them. All bounds are
 * whole but the largest of sizes, which is rounded down. */
static void print_bound(struct line *line, const struct option *option, size_t bound)
{
    size_t i = 0;
    while (option->kind == KIND_BYTES && i + 1 < UNITS_MOST && bound >= byte_units[i + 1].factor)
        i++;
    arn__line_decimal(line, bound / byte_units[i].factor);
    arn__line_text(line, byte_units[i].name);
}

/* "; use off, auto or always" and the like. */
static void complain_value(const char *source, const struct option *option, const char *part,
                           size_t length)
{
    struct line expected = {.length = 0};
    if (option->kind == KIND_CHOICE) {
        for (size_t i = 0; i < CHOICES && option->choices[i] != NULL; i++) {
            arn__line_text(&expected, i == 0 ? "" : " or ");
            arn__line_text(&expected, option->choices[i]);
        }
    } else {
        print_bound(&expected, option, option->least);
        arn__line_text(&expected, " to ");
        print_bound(&expected, option, option->most);
        arn__line_text(&expected, option->kind == KIND_BYTES ? " (bytes, K, M, G, T)"
                                  : option->kind == KIND_MS  ? " (ms, s, m)"
                                                             : "");
    }
    expected.text[expected.length] = '\0';
    complain(source, "bad value", part, length, "; use ", expected.text);
}

static bool apply_part(const char *part, size_t length, const char *source)
{
    const char *equals = memchr(part, '=', length);
    size_t key_length = equals == NULL ? length : (size_t)(equals - part);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!equal(part, key_length, table[i].key))
            continue;
        if (equals != NULL && set(&table[i], equals + 1, length - key_length - 1)) {
            sources[i] = source;
            return true;
        }
        complain_value(source, &table[i], part, length);
        return false;
    }
    complain_key(source, part, key_length);
    return false;
}

bool arn__options_apply(const char *text, const char *source)
{
    bool right = true;
    for (;;) {
        text += strspn(text, " ,");
        if (*text == '\0')
            return right;
        size_t length = strcspn(text, ",");
        right = apply_part(text, length, source) && right;
        text += length;
    }
}

void arn__options_show(int fd)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        struct line line = {.length = 0};
        arn__line_text(&line, "arenite: option ");
        arn__line_text(&line, table[i].key);
        arn__line_text(&line, "=");
        if (table[i].kind == KIND_CHOICE)
            arn__line_text(&line, table[i].choices[*table[i].value]);
        else
            arn__line_decimal(&line, *table[i].value);
        arn__line_text(&line, " (");
        arn__line_text(&line, sources[i] == NULL ? "default" : sources[i]);
        arn__line_text(&line, ")");
        arn__line_write(&line, fd);
    }
}

/* A number as in C, as far as it goes; too large a one is none. */
static void perturb(const char *text, const char *source)
{
    static const char digits[] = "0123456789abcdef";
    unsigned base = text[0] != '0' ? 10 : (text[1] | 0x20) == 'x' ? 16 : 8;
    size_t value = 0;
    for (text += base == 16 ? 2 : 0; *text != '\0' && value <= PERTURB_MOST; text++) {
        const char *digit = memchr(digits, *text >= 'A' ? *text | 0x20 : *text, base);
        if (digit == NULL)
            break;
        value = value * base + (size_t)(digit - digits);
    }
    for (size_t i = 0; i < OPTIONS && value <= PERTURB_MOST; i++) {
        if (table[i].value != &arn__options.perturb)
            continue;
        arn__options.perturb = value;
        sources[i] = source;
    }
}

/* What libc has for M_PERTURB: a variable, and an element of another one. */
static void read_perturb(void)
{
    static const char variable[] = "MALLOC_PERTURB_";
    static const char variables[] = "GLIBC_TUNABLES";
    static const char name[] = "glibc.malloc.perturb=";
    bool known;
    const char *text = arn__os_environment(variable, &known);
    if (text != NULL)
        perturb(text, variable);
    for (text = arn__os_environment(variables, &known); text != NULL; text = strchr(text, ':')) {
        text += *text == ':';
        if (strncmp(text, name, sizeof name - 1) == 0)
            perturb(text + sizeof name - 1, variables);
    }
}

bool arn__options_read(void)
{
    static const char variable[] = "ARENITE_OPTIONS";
    bool known;
    const char *text = arn__os_environment(variable, &known);
    if (known)
        read_perturb();
    if (text == NULL)
        return known;
    arn__options_apply(text, variable);
    if (arn__options.stats == STATS_EXIT)
        arn__exit_prepare();
    if (arn__options.show == SWITCH_ON)
        arn__options_show(STDERR);
    return true;
}
