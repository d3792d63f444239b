#include "owned.hpp"

#include "errors.hpp"
#include <pthread.h>

#include <atomic>

namespace bzmq::python {
namespace {

std::atomic<unsigned> generation{0};

}  // namespace

unsigned fork_generation() noexcept {
    return generation.load(std::memory_order_relaxed);
}

void count_forks() {
    pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
}

void raise_forked() {
    py::module_::import("bzmq.errors").attr("raise_forked")();
    throw py::error_already_set{};
}

}  // namespace bzmq::python
