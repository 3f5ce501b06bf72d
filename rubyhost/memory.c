/*
 * What malloc has in use, and what of it is the bridge's own.
 *
 * The bridge allocates with the functions here: what it never frees shows in the
 * counter. What lives as long as the process is left out: the command line at boot
 * and the text of a failed boot. No Ruby code and no handler's memory is in it.
 */
#include "bridge_internal.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is allocated now, in one word: the number in the low bits, and the bytes in
 * units of eight above. So an allocation costs one atomic addition, and the two
 * figures belong together. There is room for 268 million allocations of 512 GB. */
static uint64_t outstanding;
enum { number_bits = 28 };

/* [any] What a block counts as. malloc says the same of it when it is freed. */
static uint64_t weight(void *block)
{
    TASKER_ANY;
    return ((uint64_t)(malloc_usable_size(block) + 7) / 8) << number_bits | 1;
}

/* [any] */
void *tasker_alloc(size_t size)
{
    TASKER_ANY;
    void *block = malloc(size);
    if (block) __atomic_add_fetch(&outstanding, weight(block), __ATOMIC_RELAXED);
    return block;
}

/* [any] */
void *tasker_realloc(void *block, size_t size)
{
    TASKER_ANY;
    uint64_t before = block ? weight(block) : 0;
    void *moved = realloc(block, size);
    if (moved) __atomic_add_fetch(&outstanding, weight(moved) - before, __ATOMIC_RELAXED);
    return moved;
}

/* [any] */
void tasker_free(void *block)
{
    TASKER_ANY;
    if (!block) return;
    __atomic_sub_fetch(&outstanding, weight(block), __ATOMIC_RELAXED);
    free(block);
}

/* [any] */
void tasker_outstanding(uint64_t *allocations, uint64_t *bytes)
{
    TASKER_ANY;
    uint64_t now = __atomic_load_n(&outstanding, __ATOMIC_RELAXED);
    *allocations = now & ((UINT64_C(1) << number_bits) - 1);
    *bytes = (now >> number_bits) * 8;
}

/* What glibc says of all its arenas: mallinfo2 since 2.33, before that mallinfo,
 * whose numbers are ints and begin again at 4 GB. Declared here, because the
 * headers of an older glibc or of another C library have neither. */
struct info {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct info_of_ints {
    int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

/* The functions of the allocator, found when somebody first asks. */
static struct {
    int (*jemalloc)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
    struct info (*glibc)(void);
    struct info_of_ints (*old_glibc)(void);
    char name[64];
} allocator;
static pthread_once_t allocator_found = PTHREAD_ONCE_INIT;

/* [any] Whether both symbols are in one library. jemalloc may be loaded without
 * being used: whoever was linked first has malloc. */
static bool same_library(void *one, void *other)
{
    TASKER_ANY;
    Dl_info a, b;
    return one && other && dladdr(one, &a) && dladdr(other, &b) && a.dli_fbase == b.dli_fbase;
}

/* [any] Reads a number of jemalloc's. Returns false when it was built without. */
static bool read_jemalloc(const char *name, uint64_t *value)
{
    TASKER_ANY;
    size_t number = 0, size = sizeof number;
    if (allocator.jemalloc(name, &number, &size, NULL, 0)) return false;
    *value = number;
    return true;
}

/* [any] */
static void find_allocator(void)
{
    TASKER_ANY;
    void *used = dlsym(RTLD_DEFAULT, "malloc"), *mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    uint64_t unused;
    if (same_library(used, mallctl)) {
        memcpy(&allocator.jemalloc, &mallctl, sizeof mallctl);
        const char *version = "";
        size_t size = sizeof version;
        if (!read_jemalloc("stats.allocated", &unused)) allocator.jemalloc = NULL;
        else if (!allocator.jemalloc("version", &version, &size, NULL, 0))
            snprintf(allocator.name, sizeof allocator.name, "jemalloc %.*s", (int)strcspn(version, "-"), version);
        return;
    }
    void *new_one = dlsym(RTLD_DEFAULT, "mallinfo2"), *old_one = dlsym(RTLD_DEFAULT, "mallinfo");
    const char *(*version)(void);
    void *get_version = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    if (!same_library(used, get_version)) return; /* another allocator's malloc, or another C library */
    memcpy(&allocator.glibc, &new_one, sizeof new_one);
    if (!new_one) memcpy(&allocator.old_glibc, &old_one, sizeof old_one);
    memcpy(&version, &get_version, sizeof get_version);
    snprintf(allocator.name, sizeof allocator.name, "glibc %.40s", version());
}

/* [any] */
const char *tasker_allocator_name(void)
{
    TASKER_ANY;
    pthread_once(&allocator_found, find_allocator);
    return allocator.name;
}

/* [any] Blocks with a mapping of their own (hblkhd) are not in uordblks: that counts
 * what is in use of the arenas. */
bool tasker_malloc_use(uint64_t *in_use, uint64_t *kept)
{
    TASKER_ANY;
    pthread_once(&allocator_found, find_allocator);
    if (allocator.jemalloc) {
        uint64_t epoch = 1, resident = 0;
        size_t size = sizeof epoch;
        allocator.jemalloc("epoch", &epoch, &size, &epoch, size); /* reads its counters anew */
        if (!read_jemalloc("stats.allocated", in_use) || !read_jemalloc("stats.resident", &resident)) return false;
        *kept = resident > *in_use ? resident - *in_use : 0;
        return true;
    }
    if (allocator.glibc) {
        struct info i = allocator.glibc();
        *in_use = i.uordblks + i.hblkhd;
        *kept = i.fordblks;
        return true;
    }
    if (allocator.old_glibc) {
        struct info_of_ints i = allocator.old_glibc();
        *in_use = (uint32_t)i.uordblks + (uint64_t)(uint32_t)i.hblkhd;
        *kept = (uint32_t)i.fordblks;
        return true;
    }
    return false;
}
