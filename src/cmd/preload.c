/* preload.c - LD_PRELOAD: of two mallocs in it the first one counts, so the library goes to the front, but
 * behind what has to be before every malloc.
 */
#include "preload.h"

#include <stdlib.h>
#include <string.h>

#include "say.h"

/* They abort the program, or miss what it does, if another malloc is before them. */
const char *const preload_sanitizers[] = {
    "libasan.so",       "libhwasan.so",
    "liblsan.so",       "libtsan.so",
    "libclang_rt.asan", "libclang_rt.hwasan",
    "libclang_rt.lsan", "libclang_rt.memprof",
    "libclang_rt.tsan", NULL,
};

/* They look at calls of malloc and hand them on to the next one, which is to be ours. */
static const char *const wrappers[] = {
    "libarenite-record.so", "libheaptrack_preload.so", "libmemusage.so", "vgpreload_", NULL,
};

/* One of LD_PRELOAD's, which spaces and colons separate. */
struct entry {
    const char *text;
    size_t length;
};

/* Goes on to the entry after this one; false: there is none. Begins with {LD_PRELOAD, 0}. */
static bool next(struct entry *entry)
{
    entry->text += entry->length;
    entry->text += strspn(entry->text, " :");
    entry->length = strcspn(entry->text, " :");
    return entry->length > 0;
}

static struct entry present(void)
{
    const char *value = getenv("LD_PRELOAD");
    return (struct entry){value == NULL ? "" : value, 0};
}

static char *file_name(const struct entry *entry)
{
    char *name = text("%.*s", (int)entry->length, entry->text);
    char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

static bool is_one_of(const struct entry *entry, const char *const *beginnings)
{
    const char *name = file_name(entry);
    for (; *beginnings != NULL; beginnings++)
        if (strncmp(name, *beginnings, strlen(*beginnings)) == 0)
            return true;
    return false;
}

/* The entries that are to be before the library, or those behind it, without the library itself: it
 * is there of one arenite run inside another. */
static char *joined(const char *list, const char *item, bool before)
{
    char *result = text("%s", list);
    for (struct entry entry = present(); next(&entry);) {
        bool first = is_one_of(&entry, preload_sanitizers) || is_one_of(&entry, wrappers);
        bool same = strlen(item) == entry.length && strncmp(entry.text, item, entry.length) == 0;
        if (first == before && !same)
            result =
                text("%s%s%.*s", result, *result == '\0' ? "" : ":", (int)entry.length, entry.text);
    }
    return result;
}

char *preload_with(const char *item)
{
    const char *front = joined("", item, true);
    return joined(text("%s%s%s", front, *front == '\0' ? "" : ":", item), item, false);
}

char *preload_sanitizer(void)
{
    for (struct entry entry = present(); next(&entry);)
        if (is_one_of(&entry, preload_sanitizers))
            return file_name(&entry);
    return NULL;
}
