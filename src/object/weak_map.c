/* weak_map.c - objects by objects that are held weakly: chains in a table that doubles. */
#include <errno.h>
#include <string.h>

#include "face.h"
#include "weak.h"

enum { FIRST_ROOM = 16 };

struct entry {
    struct entry *next;
    const void *key;
    arn_weak *weak; /* to the key; its callback takes the entry out */
    void *value;    /* counted */
    struct arn_weak_map *map;
};

struct arn_weak_map {
    struct entry **chains;
    size_t room; /* a power of two */
    size_t count;
};

static size_t place_of(const void *key, size_t room)
{
    return (size_t)(((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
}

static struct entry **find(const struct arn_weak_map *map, const void *key)
{
    struct entry **link = &map->chains[place_of(key, map->room)];
    while (*link != NULL && (*link)->key != key)
        link = &(*link)->next;
    return link;
}

arn_weak_map *arn_weak_map_new(void)
{
    struct arn_weak_map *map = arn__take_zeroed(1, sizeof *map);
    struct entry **chains = map == NULL ? NULL : arn__take_zeroed(FIRST_ROOM, sizeof *chains);
    if (chains == NULL) {
        arn_free(map);
        return NULL;
    }
    map->chains = chains;
    map->room = FIRST_ROOM;
    return map;
}

static void take_out(struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    entry->map->count--;
    arn_weak_release(entry->weak);
    void *value = entry->value;
    arn_free(entry);
    arn_xdecref(value);
}

static void key_is_gone(arn_weak *weak, void *context)
{
    struct entry *entry = context;
    (void)weak;
    take_out(find(entry->map, entry->key));
}

/* Chains stay short; without memory for that they grow longer. */
static void grow(struct arn_weak_map *map)
{
    struct arn_weak_map larger = {.room = map->room * 2, .count = map->count};
    larger.chains = arn__take_zeroed(larger.room, sizeof *larger.chains);
    if (larger.chains == NULL)
        return;
    for (size_t i = 0; i < map->room; i++) {
        while (map->chains[i] != NULL) {
            struct entry *entry = map->chains[i];
            map->chains[i] = entry->next;
            entry->next = larger.chains[place_of(entry->key, larger.room)];
            larger.chains[place_of(entry->key, larger.room)] = entry;
        }
    }
    arn_free(map->chains);
    *map = larger;
}

int arn_weak_map_set(arn_weak_map *map, void *key, void *value)
{
    struct entry **link = find(map, key);
    if (*link != NULL) {
        arn_set(&(*link)->value, value);
        return 0;
    }
    struct entry *entry = arn__take_zeroed(1, sizeof *entry);
    if (entry == NULL)
        return -1;
    entry->weak = arn_weak_new(key, key_is_gone, entry);
    if (entry->weak == NULL) {
        arn_free(entry);
        return -1;
    }
    entry->key = key;
    entry->map = map;
    entry->value = value;
    arn_xincref(value);
    *link = entry;
    if (++map->count > map->room)
        grow(map);
    return 0;
}

void *arn_weak_map_get(const arn_weak_map *map, const void *key)
{
    const struct entry *entry = *find(map, key);
    return entry == NULL ? NULL : entry->value;
}

bool arn_weak_map_remove(arn_weak_map *map, const void *key)
{
    struct entry **link = find(map, key);
    if (*link == NULL)
        return false;
    take_out(link);
    return true;
}

size_t arn_weak_map_count(const arn_weak_map *map)
{
    return map->count;
}

void arn_weak_map_destroy(arn_weak_map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->room; i++) {
        while (map->chains[i] != NULL)
            take_out(&map->chains[i]);
    }
    arn_free(map->chains);
    arn_free(map);
}
