#include "endpoint/publish_queue.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bzmq {

namespace {

thread_local publish_limit* limit_of_thread = nullptr;

}  // namespace

publish_limit::publish_limit(timespan longest) noexcept
    : longest_(longest), outer_(limit_of_thread) {
    limit_of_thread = this;
}

publish_limit::~publish_limit() { limit_of_thread = outer_; }

publish_queue::hold_up::hold_up() noexcept : began_(clock::now()) {
    auto* limit = limit_of_thread;
    if (limit == nullptr) {
        return;
    }
    if (limit->longest_ < clock::time_point::max() - began_) {
        until_ = began_ + limit->longest_;
    }
    began_ = limit->began_ = limit->ran_out_ ? limit->began_ : began_;
    limit->ran_out_ = false;
}

void publish_queue::hold_up::ran_out() const noexcept {
    limit_of_thread->ran_out_ = true;
}

ec publish_queue::wait_for_room(std::unique_lock<std::mutex>& lock, std::size_t need) {
    using clock = hold_up::clock;
    const hold_up held;
    bool ran_out = false;
    // What is larger than the whole queue goes alone.
    const auto fits = [&] {
        const auto bytes = waiting_bytes();
        return bytes == 0 || bytes + need <= settings_.bytes_max;
    };
    ++waiting_;  // Before we look: `release` looks in the other order.
    if (!closed_ && !announced_.exchange(true)) {
        core_.wake();
    }
    while (!closed_ && !fits() && !core_thread::any()) {
        const bool patient = settings_.always_wait || held_up_;
        const bool for_ever = patient && settings_.timeout.count() == 0;
        const timespan patience = patient ? settings_.timeout : timespan{core_patience};
        const auto end = for_ever ? clock::time_point::max() : held.began() + patience;
        if (end == clock::time_point::max() && end == held.until()) {
            room_.wait(lock);
            continue;
        }
        const auto at = clock::now();
        if (at >= end) {
            break;
        }
        if (at >= held.until()) {
            held.ran_out();
            ran_out = true;
            break;
        }
        room_.wait_until(lock, std::min(end, held.until()));
    }
    --waiting_;
    if (closed_) {
        return ec::shutting_down;
    }
    if (!fits()) {
        if (ran_out) {
            return ec::queue_full;  // Whether that is a refusal is the caller's to say.
        }
        refused_.fetch_add(1, std::memory_order_relaxed);
        return ec::queue_full;
    }
    return ec::none;
}

void publish_queue::seal() {
    if (used_ > begin_) {
        sealed_.push_back({{block_, block_->data + begin_, used_ - begin_},
                           {one_topic_ ? count_ : 0, headroom},
                           0});
        sealed_count_ += count_;
        start_chunk(used_);
    }
    topic_ = {};
}

void publish_queue::next_block(std::size_t need) {
    seal();
    if (!block_ || used_ + std::max(need, remainder_min) > block_->capacity) {
        // The rest of a pooled block serves the next chunk, as long as that is not too small.
        block_ = pool_.take(headroom + std::max(need, settings_.chunk_bytes + chunk_slack));
        start_chunk(0);
    }
}

void publish_queue::take(std::vector<chunk>& out, instant now, bool all) {
    if (!announced_.load(std::memory_order_acquire) && !all && now < take_due_) {
        return;
    }
    const auto lock = lock_briefly(mutex_);
    announced_.store(false, std::memory_order_relaxed);
    taken_at_ = now;
    paced_ = sealed_count_ + count_ >= crowd;
    take_due_ = paced_ ? now + pace : never;
    if (used_ > begin_) {
        seal();
        if (used_ + remainder_min > block_->capacity) {
            block_.reset();
            start_chunk(0);
        }
    }
    if (out.empty()) {
        out.swap(sealed_);
    } else {
        std::move(sealed_.begin(), sealed_.end(), std::back_inserter(out));
        sealed_.clear();
    }
    sealed_count_ = 0;
}

void publish_queue::release(std::size_t bytes) {
    released_bytes_.fetch_add(bytes);
    if (waiting_.load() == 0) {
        return;
    }
    const auto lock = lock_briefly(mutex_);
    // Waking a publisher for every chunk would cost more than it brings.
    if (waiting_bytes() <= settings_.bytes_max / 4 * 3) {
        room_.notify_all();
    }
}

void publish_queue::held_up(bool yes) {
    const std::lock_guard lock{mutex_};
    if (held_up_ != yes) {
        held_up_ = yes;
        room_.notify_all();
    }
}

void publish_queue::close() {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    announced_ = true;
    room_.notify_all();
}

}  // namespace bzmq
