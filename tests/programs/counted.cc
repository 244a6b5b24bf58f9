// counted.cc - blocks by C++'s operators, their number known: for the tools that count them.
// WITHOUT_ALIGNED: but for the operators that align.
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#ifndef WITHOUT_ALIGNED
struct alignas(128) Wide {
#else
struct Wide {
#endif
    char bytes[128];
};

int main()
{
    std::map<int, std::string> map;
    for (int i = 0; i < 5000; i++)
        map[i] = std::string(100, 'x');
    std::vector<std::vector<int>> rows(300);
    for (int i = 0; i < 300; i++)
        for (int k = 0; k < i; k++)
            rows[i].push_back(k);
    std::vector<std::unique_ptr<Wide>> wides;
    for (int i = 0; i < 1000; i++)
        wides.push_back(std::make_unique<Wide>());
    std::vector<std::shared_ptr<std::string>> shared;
    for (int i = 0; i < 1000; i++)
        shared.push_back(std::make_shared<std::string>(i % 70, 'y'));
    for (int i = 0; i < 100; i++) {
        char *array = new (std::nothrow) char[1000 * i + 1];
        array[0] = 1;
        delete[] array;
    }
    int caught = 0;
    try {
        volatile std::size_t much = PTRDIFF_MAX;
        delete[] new char[much - 100];
    } catch (const std::bad_alloc &) {
        caught++;
    }
    std::printf("%zu %zu %zu %zu %d\n", map.size(), rows.size(), wides.size(), shared.size(),
                caught);
}
