/* dict.c */
#include "dict.h"

enum { ROOM_LEAST = 4, INDEX_PER_ENTRY = 2 };

struct dict *dict_new(void)
{
    return arn_new(types.dict);
}

bool dict_is_key(const void *value)
{
    return value_is(value, types.integer) || value_is(value, types.str);
}

/* FNV-1a. */
static uint64_t hash(const void *key)
{
    uint64_t hash = 0xcbf29ce484222325;
    const unsigned char *bytes = key;
    size_t length = sizeof(struct integer);
    if (value_is(key, types.str)) {
        bytes = (const unsigned char *)((const struct str *)key)->text;
        length = ((const struct str *)key)->length;
    }
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash ^ hash >> 32;
}

static struct entry *find(const struct dict *dict, const void *key)
{
    if (dict->count == 0)
        return NULL;
    size_t mask = INDEX_PER_ENTRY * dict->room - 1;
    for (size_t i = hash(key) & mask; dict->index[i] != 0; i = (i + 1) & mask) {
        struct entry *entry = &dict->entries[dict->index[i] - 1];
        if (entry->key != NULL && value_equals(entry->key, key))
            return entry;
    }
    return NULL;
}

/* The next entry, for this key. There is room. */
static struct entry *add(struct dict *dict, const void *key)
{
    size_t mask = INDEX_PER_ENTRY * dict->room - 1;
    size_t i = hash(key) & mask;
    while (dict->index[i] != 0)
        i = (i + 1) & mask;
    dict->index[i] = (uint32_t)++dict->used;
    dict->count++;
    return &dict->entries[dict->used - 1];
}

/* Room for as many again, without the removed ones. */
static bool rebuild(struct dict *dict)
{
    struct dict after = {.room = ROOM_LEAST};
    while (after.room < 2 * dict->count)
        after.room *= 2;
    after.entries =
        arn_calloc(after.room, sizeof *after.entries + INDEX_PER_ENTRY * sizeof *after.index);
    if (after.entries == NULL)
        return false;
    after.index = (uint32_t *)(after.entries + after.room);
    for (size_t i = 0; i < dict->used; i++) {
        if (dict->entries[i].key != NULL)
            *add(&after, dict->entries[i].key) = dict->entries[i];
    }
    arn_free(dict->entries);
    *dict = after;
    return true;
}

void *dict_get(const struct dict *dict, const void *key)
{
    const struct entry *entry = find(dict, key);
    return entry == NULL ? NULL : entry->value;
}

bool dict_set(struct dict *dict, void *key, void *value)
{
    struct entry *entry = find(dict, key);
    if (entry == NULL) {
        if (dict->used == dict->room && !rebuild(dict))
            return false;
        entry = add(dict, key);
        arn_set(&entry->key, key);
    }
    arn_set(&entry->value, value);
    return true;
}

bool dict_remove(struct dict *dict, const void *key)
{
    struct entry *entry = find(dict, key);
    if (entry == NULL)
        return false;
    dict->count--;
    arn_clear(&entry->key);
    arn_clear(&entry->value);
    return true;
}

void dict_traverse(void *object, arn_visit *visit, void *context)
{
    const struct dict *dict = object;
    for (size_t i = 0; i < dict->used; i++) {
        if (dict->entries[i].key != NULL) {
            visit(dict->entries[i].key, context);
            visit(dict->entries[i].value, context);
        }
    }
}

void dict_clear(void *object)
{
    struct dict *dict = object;
    for (size_t i = 0; i < dict->used; i++) {
        arn_clear(&dict->entries[i].key);
        arn_clear(&dict->entries[i].value);
    }
    arn_free(dict->entries);
    *dict = (struct dict){0};
}
