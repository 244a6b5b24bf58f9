// new_throws.cc - bad_alloc comes out of a program that uses nothing else of the C++ library: what
// throws it is there in a static program, too.
#include <cstdint>
#include <new>

#include "program.h"

int main()
{
    try {
        operator delete(operator new(PTRDIFF_MAX));
    } catch (const std::bad_alloc &) {
        return 0;
    }
    return 1;
}
