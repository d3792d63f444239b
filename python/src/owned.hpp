#pragma once

#include "gil.hpp"
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

/// What Python's objects hold of bzmq's.
namespace bzmq::python {

namespace py = pybind11;

/// Rises in the child at each fork: an object of another generation belongs to the parent.
unsigned fork_generation() noexcept;
void count_forks();
[[noreturn]] void raise_forked();

/// Shares a T that is used in the process that made it only. A forked child may drop it, but its
/// destructor does not run there: it would wait for threads that the child does not have.
template <class T>
class owned {
  public:
    explicit owned(std::shared_ptr<T> held) : held_(std::move(held)) {}
    owned(owned&&) noexcept = default;
    owned(const owned&) = delete;
    owned& operator=(const owned&) = delete;
    ~owned() {
        if (!held_) {
            return;
        }
        if (born_ != fork_generation()) {
            new std::shared_ptr<T>{std::move(held_)};  // Leaked on purpose.
            return;
        }
        // May wait for the endpoint's thread.
        const without_gil free;
        held_.reset();
    }

    /// Raises in a forked child.
    [[nodiscard]] T& operator*() const {
        check_fork();
        return *held_;
    }
    T* operator->() const { return &**this; }
    [[nodiscard]] const std::shared_ptr<T>& shared() const {
        check_fork();
        return held_;
    }

  private:
    void check_fork() const {
        if (born_ != fork_generation()) {
            raise_forked();
        }
    }
    std::shared_ptr<T> held_;
    unsigned born_ = fork_generation();
};

}  // namespace bzmq::python
