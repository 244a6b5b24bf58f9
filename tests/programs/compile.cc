// Input for the compilers: templates, exceptions, and most of the standard library's containers.

#include <algorithm>
#include <deque>
#include <functional>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

template <std::size_t N> struct Fibonacci {
    static constexpr unsigned long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value;
};
template <> struct Fibonacci<0> { static constexpr unsigned long value = 0; };
template <> struct Fibonacci<1> { static constexpr unsigned long value = 1; };

template <class... Parts> struct Sum;
template <class First, class... Rest> struct Sum<First, Rest...> : Sum<Rest...> {
    First first{};
    std::size_t bytes() const { return sizeof first + Sum<Rest...>::bytes(); }
};
template <> struct Sum<> { std::size_t bytes() const { return 0; } };

template <std::size_t... Is> unsigned long fold(std::index_sequence<Is...>)
{
    return (Fibonacci<Is % 80>::value + ...);
}

struct alignas(256) Wide {
    unsigned char bytes[256];
};

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};
template <int Sides> struct Polygon : Shape {
    explicit Polygon(double side) : side(side) {}
    double area() const override { return side * side * Sides / 4.0; }
    double side;
};

using Value = std::variant<int, std::string, std::vector<double>>;

template <class Container> unsigned long churn(unsigned seed)
{
    std::minstd_rand random(seed);
    Container live;
    for (int i = 0; i < 50000; i++) {
        auto key = random() % 2000;
        auto found = live.find(key);
        if (found != live.end())
            live.erase(found);
        else
            live[key] = std::string(random() % 300, 'x');
    }
    unsigned long sum = 0;
    for (auto &[key, text] : live)
        sum += (key + 1) * text.size();
    return sum;
}

} // namespace

int main()
{
    std::cout << fold(std::make_index_sequence<200>{}) << ' '
              << Sum<int, double, std::string, std::tuple<long, char>, Value>().bytes() << '\n';
    std::cout << churn<std::map<unsigned long, std::string>>(1) << ' '
              << churn<std::unordered_map<unsigned long, std::string>>(2) << '\n';

    std::vector<unsigned long> sums(4);
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < 4; n++)
        threads.emplace_back([&, n] { sums[n] = churn<std::map<unsigned long, std::string>>(n); });
    for (auto &thread : threads)
        thread.join();
    std::cout << std::accumulate(sums.begin(), sums.end(), 0ul) << '\n';

    std::ostringstream text;
    for (int i = 0; i < 2000; i++)
        text << "name" << i << '=' << std::setw(8) << std::setfill('0') << i * 7919 << ';';
    std::string all = text.str();
    std::regex pair("(name\\d*7)=(0*)(\\d+);");
    long total = 0;
    for (std::sregex_iterator it(all.begin(), all.end(), pair), end; it != end; ++it)
        total += std::stol((*it)[3]) + (*it)[2].length();
    std::cout << total << '\n';

    std::list<std::shared_ptr<Shape>> shapes;
    for (int i = 0; i < 10000; i++) {
        if (i % 2)
            shapes.push_back(std::make_shared<Polygon<4>>(i));
        else
            shapes.push_back(std::make_unique<Polygon<6>>(i));
    }
    double area = 0;
    for (auto &shape : shapes)
        area += shape->area();
    std::cout << std::fixed << area << '\n';

    bool aligned = true;
    std::deque<std::unique_ptr<Wide>> wide;
    for (int i = 0; i < 1000; i++) {
        wide.push_back(std::make_unique<Wide>());
        aligned = aligned && reinterpret_cast<std::uintptr_t>(wide.back().get()) % 256 == 0;
        if (i % 3 == 0)
            wide.pop_front();
    }
    std::cout << aligned << '\n';

    int caught = 0;
    for (int i = 0; i < 1000; i++) {
        try {
            std::function<void(int)> dive = [&](int depth) {
                std::string local(depth, 'y');
                if (depth == 0)
                    throw std::runtime_error("bottom");
                dive(depth - 1);
            };
            dive(i % 50);
        } catch (const std::exception &) {
            caught++;
        }
    }
    try {
        // Volatile: the compiler would say that it is too big.
        volatile std::size_t bytes = static_cast<std::size_t>(-1) / 4;
        delete[] new char[bytes];
    } catch (const std::bad_alloc &) {
        caught++;
    }
    std::cout << caught << ' ' << (new (std::nothrow) char[16] != nullptr) << '\n';
}
