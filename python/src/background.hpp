#pragma once

#include "bzmq/time.hpp"

#include <pybind11/pybind11.h>

#include <functional>
#include <memory>
#include <optional>

/// Calls that wait long and cannot be cut into slices.
namespace bzmq::python {

namespace py = pybind11;

/// A call on a thread of its own, for the time of the call, whose end shows at a file descriptor:
/// so Ctrl-C and asyncio can give it up.
class background_call {
  public:
    /// Turns the result into Python's, or raises; runs in Python.
    using finish = std::function<py::object()>;
    /// Runs on the thread, without Python. Looks at the flag now and then, if it can wait for long.
    using work = std::function<finish(const std::function<bool()>& given_up)>;

    /// `give_up` makes the work return soon; it is called at most once.
    explicit background_call(work what, std::function<void()> give_up = {});
    background_call(const background_call&) = delete;
    background_call& operator=(const background_call&) = delete;
    ~background_call();

    [[nodiscard]] int fd() const;
    [[nodiscard]] bool done() const;
    /// What the call brought; only where it is done.
    [[nodiscard]] py::object result() const;
    /// Nobody wants the result any more. Does not wait.
    void cancel();
    /// Waits for the result. A signal's exception gives the call up.
    [[nodiscard]] py::object wait();

  private:
    struct state;
    std::shared_ptr<state> state_;
    std::function<void()> give_up_;
};

/// Calls `step(slice)` on a thread until it says true, or to the timeout: yields a bool.
std::unique_ptr<background_call> wait_later(std::function<bool(timespan)> step,
                                            std::optional<timespan> timeout);

}  // namespace bzmq::python
