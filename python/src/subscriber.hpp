#pragma once

#include "bzmq/subscriber.hpp"

#include "convert.hpp"
#include "owned.hpp"
#include "waiting.hpp"
#include <pybind11/pybind11.h>

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace bzmq::python {

/// A subscriber whose messages come as Python's. All functions want the GIL, and release it while
/// they wait.
class python_subscriber {
  public:
    python_subscriber(subscriber from, form how)
        : held_(std::make_shared<subscriber>(std::move(from))), how_(how) {}

    /// `count` messages, or those that came until the timeout or the subscriber's end.
    [[nodiscard]] std::vector<message> wait_for(std::size_t count, std::optional<timespan> timeout);
    /// None at the timeout or the end.
    [[nodiscard]] py::object next(std::optional<timespan> timeout);
    /// Raises why it ended.
    [[nodiscard]] py::object next_or_raise();
    /// None where there is none now.
    [[nodiscard]] py::object next_now();
    [[nodiscard]] py::list poll(std::size_t max);
    [[nodiscard]] py::list to_list(const std::vector<message>& from) const;
    [[nodiscard]] std::size_t available() { return kept_.size() + held_->available(); }

    /// Readable while messages wait, those included that an interrupted wait left, and at the end.
    [[nodiscard]] int fd() { return fd_.open(held_->fd(), !kept_.empty()); }

    [[nodiscard]] const std::shared_ptr<subscriber>& shared() const { return held_.shared(); }
    subscriber& operator*() const { return *held_; }
    subscriber* operator->() const { return &*held_; }

  private:
    void take(std::vector<message>& out, std::size_t max);
    /// Waits a moment for all that is missing.
    void gather(std::vector<message>& out, std::size_t count, wait_clock::time_point deadline);

    owned<subscriber> held_;
    form how_;
    /// Taken by a wait that a signal's exception ended.
    std::deque<message> kept_;
    joined_fd fd_;
};

}  // namespace bzmq::python
