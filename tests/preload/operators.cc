// operators.cc - operator new and delete in all their variants, and what they do when memory ends.
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <malloc.h>
#include <sys/resource.h>

#include "program.h"

#ifndef __cpp_sized_deallocation /* clang declares these only when asked to */
void operator delete(void *block, std::size_t bytes) noexcept;
void operator delete[](void *block, std::size_t bytes) noexcept;
void operator delete(void *block, std::size_t bytes, std::align_val_t alignment) noexcept;
void operator delete[](void *block, std::size_t bytes, std::align_val_t alignment) noexcept;
#endif

namespace
{

const std::size_t impossible = PTRDIFF_MAX;
const std::size_t sizes[] = {0, 1, 16, 17, 100, 1024, 5000, 32768, 100000, 400000, 3000000};
const std::align_val_t alignments[] = {std::align_val_t(1), std::align_val_t(8),
                                       std::align_val_t(64), std::align_val_t(4096),
                                       std::align_val_t(1 << 20)};

void check_block(void *block, std::size_t bytes, std::size_t alignment)
{
    CHECK(block != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
    CHECK(malloc_usable_size(block) >= bytes);
    memset(block, 0xa5, bytes);
}

// No `array ? operator delete[](p) : operator delete(p)`: clang 14 calls both.
void every_variant()
{
    for (std::size_t bytes : sizes) {
        void *blocks[12];
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 12; i++) {
                blocks[i] = i % 4 == 0   ? operator new(bytes)
                            : i % 4 == 1 ? operator new[](bytes)
                            : i % 4 == 2 ? operator new(bytes, std::nothrow)
                                         :
                                         operator new[](bytes, std::nothrow);
                check_block(blocks[i], bytes, alignof(std::max_align_t));
            }
            for (int i = 0; i < 12; i++) {
                bool is_array = i % 2 == 1;
                switch ((i / 4 + round) % 3) {
                case 0:
                    if (is_array)
                        operator delete[](blocks[i]);
                    else
                        operator delete(blocks[i]);
                    break;
                case 1:
                    if (is_array)
                        operator delete[](blocks[i], bytes);
                    else
                        operator delete(blocks[i], bytes);
                    break;
                default:
                    if (is_array)
                        operator delete[](blocks[i], std::nothrow);
                    else
                        operator delete(blocks[i], std::nothrow);
                }
            }
        }
    }
    operator delete(nullptr);
    operator delete[](nullptr, std::nothrow);
}

void every_aligned_variant()
{
    for (std::size_t bytes : sizes) {
        for (std::align_val_t alignment : alignments) {
            void *blocks[12];
            for (int i = 0; i < 12; i++) {
                blocks[i] = i % 4 == 0   ? operator new(bytes, alignment)
                            : i % 4 == 1 ? operator new[](bytes, alignment)
                            : i % 4 == 2 ? operator new(bytes, alignment, std::nothrow)
                                         :
                                         operator new[](bytes, alignment, std::nothrow);
                check_block(blocks[i], bytes, static_cast<std::size_t>(alignment));
            }
            for (int i = 0; i < 12; i++) {
                bool is_array = i % 2 == 1;
                switch (i / 4) {
                case 0:
                    if (is_array)
                        operator delete[](blocks[i], alignment);
                    else
                        operator delete(blocks[i], alignment);
                    break;
                case 1:
                    if (is_array)
                        operator delete[](blocks[i], bytes, alignment);
                    else
                        operator delete(blocks[i], bytes, alignment);
                    break;
                default:
                    if (is_array)
                        operator delete[](blocks[i], alignment, std::nothrow);
                    else
                        operator delete(blocks[i], alignment, std::nothrow);
                }
            }
        }
    }
}

// True if bad_alloc, and nothing else, comes out.
template <typename Function> bool throws_bad_alloc(Function function)
{
    try {
        function();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

void no_memory_throws()
{
    CHECK(throws_bad_alloc([] { operator delete(operator new(impossible)); }));
    CHECK(throws_bad_alloc([] { operator delete[](operator new[](impossible)); }));
    CHECK(throws_bad_alloc([] {
        operator delete(operator new(impossible, std::align_val_t(64)), std::align_val_t(64));
    }));
    CHECK(throws_bad_alloc([] {
        operator delete[](operator new[](impossible, std::align_val_t(4096)),
                          std::align_val_t(4096));
    }));
    CHECK(operator new(impossible, std::nothrow) == nullptr);
    CHECK(operator new[](impossible, std::nothrow) == nullptr);
    CHECK(operator new(impossible, std::align_val_t(64), std::nothrow) == nullptr);
    CHECK(operator new[](impossible, std::align_val_t(64), std::nothrow) == nullptr);
}

int calls;

void handler_that_gives_up()
{
    if (++calls == 5)
        std::set_new_handler(nullptr);
}

void handler_that_throws()
{
    ++calls;
    throw std::bad_alloc();
}

struct rlimit unlimited;

void handler_that_finds_memory()
{
    if (++calls == 3)
        CHECK(setrlimit(RLIMIT_AS, &unlimited) == 0);
}

void handler_is_called()
{
    calls = 0;
    std::set_new_handler(handler_that_gives_up);
    CHECK(throws_bad_alloc([] { operator delete(operator new(impossible)); }));
    CHECK(calls == 5);

    calls = 0;
    std::set_new_handler(handler_that_gives_up);
    CHECK(operator new(impossible, std::nothrow) == nullptr);
    CHECK(calls == 5);

    calls = 0;
    std::set_new_handler(handler_that_throws);
    CHECK(throws_bad_alloc([] { operator delete(operator new(impossible)); }));
    CHECK(operator new(impossible, std::nothrow) == nullptr); // the exception stays inside
    CHECK(operator new[](impossible, std::align_val_t(64), std::nothrow) == nullptr);
    CHECK(calls == 3);
    std::set_new_handler(nullptr);
}

void handler_until_memory_appears()
{
    CHECK(getrlimit(RLIMIT_AS, &unlimited) == 0);
    struct rlimit none = {64 << 20, unlimited.rlim_max};
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    struct rlimit now;
    CHECK(getrlimit(RLIMIT_AS, &now) == 0);
    if (now.rlim_cur != none.rlim_cur)
        return; // an emulator that needs its address space
    calls = 0;
    std::set_new_handler(handler_that_finds_memory);
    void *block = operator new(256 << 20);
    CHECK(calls == 3);
    check_block(block, 1 << 20, 16);
    operator delete(block);
    std::set_new_handler(nullptr);
}

struct alignas(256) wide {
    char bytes[300];
    ~wide()
    {
        bytes[0] = 1;
    }
};

struct throwing {
    throwing()
    {
        throw std::runtime_error("no");
    }
    char bytes[77];
};

// As compilers call them: sizes, cookies of arrays, constructors that throw.
void expressions()
{
    for (int i = 1; i < 2000; i += 7) {
        wide *one = new wide;
        wide *many = new wide[i % 40 + 1];
        CHECK(reinterpret_cast<std::uintptr_t>(one) % 256 == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(many) % 256 == 0);
        delete one;
        delete[] many;
        std::vector<std::string> strings;
        for (int k = 0; k < i % 50; k++)
            strings.emplace_back(static_cast<std::size_t>(k * 9), 'x');
        CHECK(strings.size() == static_cast<std::size_t>(i % 50));
    }
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 1000; i++) {
        try {
            delete new throwing;
            CHECK(!"thrown");
        } catch (const std::runtime_error &) {
        }
    }
    CHECK(mallinfo2().uordblks <= before.uordblks + 4096); // freed as the constructor threw
    CHECK(throws_bad_alloc([] { std::string(std::size_t(1) << 60, 'x'); }));
}

} // namespace

int main()
{
    every_variant();
    every_aligned_variant();
    no_memory_throws();
    handler_is_called();
    handler_until_memory_appears();
    expressions();
    return 0;
}
