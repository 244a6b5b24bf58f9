/* realloc_strings.c - many strings that grow by a few bytes at a time, each to its exact length.
 *
 *     realloc_strings [--scale F]
 *
 * The habit of building strings by concatenation, against which Boehm, Atkinson and Plass, "Ropes:
 * an Alternative to Strings", 1995, argue: realloc's cost is the allocator's, not the program's.
 */
#include "workload.h"

enum { APPENDS = 12000000, STRINGS = 2000, MOST_BYTES = 2000, MOST_APPENDED = 40 };

static struct string {
    unsigned char *text; /* text[i] is the low byte of first + i */
    size_t bytes;
    unsigned first;
} strings[STRINGS];

static void drop(struct string *string)
{
    for (size_t i = 0; i < string->bytes; i++)
        CHECK(string->text[i] == (unsigned char)(string->first + i));
    free(string->text);
    *string = (struct string){NULL, 0, string->first + 1};
}

static void append(struct string *string, size_t more)
{
    size_t before = string->bytes;
    string->bytes += more;
    string->text = realloc(string->text, string->bytes);
    CHECK(string->text != NULL);
    for (size_t i = before; i < string->bytes; i++)
        string->text[i] = (unsigned char)(string->first + i);
}

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 3;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(APPENDS, scale); left > 0; left--) {
        struct string *string = &strings[random_below(&seed, STRINGS)];
        append(string, 1 + random_below(&seed, MOST_APPENDED));
        if (string->bytes > MOST_BYTES)
            drop(string);
    }
    for (size_t i = 0; i < STRINGS; i++)
        drop(&strings[i]);
    return 0;
}
