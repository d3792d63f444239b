#include "endpoint/store_state.hpp"

#include <algorithm>
#include <utility>

#include "endpoint/core.hpp"
#include "endpoint/core_thread.hpp"

namespace bzmq {
namespace {

/// What this thread wrote last through which master: its reads wait for that.
struct own_write {
    std::weak_ptr<store_state> store;
    const store_state* key = nullptr;
    std::uint64_t number = 0;
};
thread_local std::vector<own_write> own_writes;

void note_own(const std::shared_ptr<store_state>& store, std::uint64_t number) {
    for (auto& each : own_writes) {
        if (each.key == store.get()) {
            each.number = number;
            return;
        }
    }
    std::erase_if(own_writes, [](const own_write& each) { return each.store.expired(); });
    own_writes.push_back({store, store.get(), number});
}

std::uint64_t own_number(const store_state* store) {
    for (const auto& each : own_writes) {
        if (each.key == store) {
            return each.number;
        }
    }
    return 0;
}

}  // namespace

// -- The state ------------------------------------------------------------------------------------

store_state::store_state(std::shared_ptr<endpoint_core> core, std::uint32_t id, std::string name,
                         bool master, backend kind, timespan get_delay, std::string folder)
    : core_(std::move(core)),
      id_(id),
      name_(std::move(name)),
      master_(master),
      kind_(kind),
      get_delay_(get_delay),
      folder_(std::move(folder)),
      readable_(master) {}

error store_state::prepare_read() {
    if (!readable_.load(std::memory_order_acquire)) {
        if (auto problem = wait_for_state()) {
            return problem;
        }
    }
    if (master_ && !own_writes.empty()) {
        const auto number = own_number(this);
        if (number > settled_.load(std::memory_order_acquire)) {
            return wait_for_own(number);
        }
    }
    return {};
}

/// With the lock held, as `note_reads`.
bool store_state::must_wait(const waiting_read& read, instant now) const {
    if (ended_) {
        return false;
    }
    return readable_ ? master_ && settled_ < read.own : !status_.stale && now < read.deadline;
}

void store_state::note_reads() {
    auto due = never;
    if (!readable_) {
        for (const auto& each : reads_) {
            due = std::min(due, each.deadline);
        }
    }
    has_reads_ = !reads_.empty();
    reads_due_ = due.count();
}

void store_state::when_readable(std::function<void()> read) {
    {
        const std::lock_guard lock{mutex_};
        const auto now = monotonic_now();
        waiting_read what{master_ ? own_number(this) : 0,
                          get_delay_ >= never - now ? never : now + get_delay_, std::move(read)};
        if (must_wait(what, now)) {
            reads_.push_back(std::move(what));
            note_reads();
            core_->commands_came(id_);  // So that it looks at the deadline.
            return;
        }
        read = std::move(what.run);
    }
    read();
}

void store_state::serve_reads() {
    if (!has_reads_) {
        return;
    }
    std::vector<waiting_read> ready;
    {
        const std::lock_guard lock{mutex_};
        const auto now = monotonic_now();
        std::vector<waiting_read> kept;
        for (auto& each : reads_) {
            (must_wait(each, now) ? kept : ready).push_back(std::move(each));
        }
        reads_ = std::move(kept);
        note_reads();
    }
    // Others asked: what this thread wrote is nothing that they wait for.
    auto aside = std::exchange(own_writes, {});
    for (const auto& each : ready) {
        each.run();
    }
    own_writes = std::move(aside);
}

error store_state::wait_for_state() {
    std::unique_lock lock{mutex_};
    if (!core_thread::of(core_.get())) {
        changed_.wait_until(lock, deadline_in(get_delay_),
                            [this] { return readable_ || ended_ || status_.stale; });
    }
    if (ended_) {
        return ended_;
    }
    if (readable_) {
        return {};
    }
    return {ec::stale_data, status_.stale
                                ? "the clone of store " + name_
                                      + " has not heard of its master for too long"
                                : "the clone of store " + name_ + " has no state yet"};
}

bool store_state::await_state(timespan timeout) {
    std::unique_lock lock{mutex_};
    const auto ready = [this] { return readable_ || ended_; };
    const auto deadline = core_thread::of(core_.get()) ? std::chrono::steady_clock::time_point{}
                                                       : deadline_in(timeout);
    if (deadline == std::chrono::steady_clock::time_point::max()) {
        changed_.wait(lock, ready);
    } else {
        changed_.wait_until(lock, deadline, ready);
    }
    return readable_;
}

error store_state::wait_for_own(std::uint64_t number) {
    if (core_thread::of(core_.get())) {
        return cannot_wait();
    }
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return settled_ >= number || ended_ || !master_; });
    if (settled_ >= number) {
        return {};
    }
    return ended_ ? ended_ : error{ec::stale_data, "the master of store " + name_ + " is elsewhere now"};
}

error store_state::submit(std::span<const std::byte> command, write_state* state) {
    if (core_->in_child()) {
        return core_->usable();
    }
    std::uint64_t number = 0;
    bool first = false;
    if (auto problem = queue_.push(command, state, !core_thread::any(), number, first)) {
        return problem;
    }
    if (first) {
        core_->commands_came(id_);
    }
    if (master_) {
        note_own(shared_from_this(), number);
    }
    return {};
}

// -- The core -------------------------------------------------------------------------------------

void store_state::set_status(const replica::clone_status& now) {
    const std::lock_guard lock{mutex_};
    status_ = now;
    readable_ = now.synced && !now.stale && !ended_;
    changed_.notify_all();
}

void store_state::set_role(bool master) {
    {
        const std::lock_guard lock{mutex_};
        master_ = master;
        settling_.clear();
        if (master) {
            clock_offset_ = 0;
            status_ = {};
        }
        readable_ = master && !ended_;
        changed_.notify_all();
    }
    serve_reads();
}

void store_state::end(error why) {
    queue_.close(why);
    {
        const std::lock_guard lock{mutex_};
        if (ended_) {
            return;
        }
        ended_ = std::move(why);
        readable_ = false;
        for (const auto& each : events_) {
            each->end();
        }
        events_.clear();
        has_events_ = false;
        changed_.notify_all();
    }
    serve_reads();
}

void store_state::settle(std::uint64_t number) {
    if (settled_.load(std::memory_order_relaxed) >= number) {
        return;
    }
    const std::lock_guard lock{mutex_};
    settled_ = number;
    changed_.notify_all();
}

void store_state::settle_later(std::uint64_t number, replica::sequence at) {
    // Entries behind the newest one were rolled back; what they were about is decided with it.
    while (!settling_.empty() && settling_.back().first >= at) {
        number = std::max(number, settling_.back().second);
        settling_.pop_back();
    }
    settling_.emplace_back(at, number);
}

void store_state::committed(replica::sequence up_to) {
    std::uint64_t number = 0;
    while (!settling_.empty() && settling_.front().first <= up_to) {
        number = settling_.front().second;
        settling_.pop_front();
    }
    if (number > 0) {
        settle(number);
    }
}

void store_state::add_events(std::shared_ptr<store_event_queue> queue) {
    const std::lock_guard lock{mutex_};
    if (ended_) {
        queue->end();
        return;
    }
    std::erase_if(events_, [](const auto& each) { return each->closed(); });
    events_.push_back(std::move(queue));
    has_events_ = true;
}

void store_state::tell(const replica::effect& what) {
    const std::lock_guard lock{mutex_};
    std::erase_if(events_, [](const auto& each) { return each->closed(); });
    for (const auto& each : events_) {
        each->push(what);
    }
    has_events_ = !events_.empty();
}

}  // namespace bzmq
