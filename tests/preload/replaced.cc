// replaced.cc - a program with operators of its own: all the forms that it leaves to the library call
// them, and no block of theirs reaches the library without its header.
#include <cstdlib>
#include <cstring>
#include <new>

#include "program.h"

#ifndef __clang__ // the sized form is the library's, on purpose
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

namespace
{

const std::size_t header_bytes = 64;
int arrays, arrays_deleted;
void *volatile seen; // a compiler may leave out what nobody sees

struct counted {
    char bytes[100];
};

} // namespace

void *operator new[](std::size_t bytes)
{
    char *block = static_cast<char *>(malloc(bytes + header_bytes));
    if (block == nullptr)
        throw std::bad_alloc();
    memset(block, 0x77, header_bytes);
    arrays++;
    return block + header_bytes;
}

void operator delete[](void *block) noexcept
{
    if (block == nullptr)
        return;
    char *start = static_cast<char *>(block) - header_bytes;
    for (std::size_t i = 0; i < header_bytes; i++)
        CHECK(start[i] == 0x77);
    arrays_deleted++;
    free(start);
}

int main()
{
    for (int i = 1; i < 100; i++) {
        counted *one = new counted, *quiet = new (std::nothrow) counted;
        counted *many = new counted[i], *many_quiet = new (std::nothrow) counted[i];
        CHECK(one != nullptr && quiet != nullptr && many_quiet != nullptr);
        seen = one;
        seen = quiet;
        seen = memset(many, 1, sizeof(counted) * i);
        seen = memset(many_quiet, 2, sizeof(counted) * i);
        delete one;
        delete quiet;
        delete[] many;
        operator delete[](many_quiet, std::nothrow);
    }
    CHECK(arrays == 2 * 99 && arrays_deleted == arrays);
    return 0;
}
