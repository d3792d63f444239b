#include "endpoint/publish_queue.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bzmq {

ec publish_queue::wait_for_room(std::unique_lock<std::mutex>& lock, std::size_t need) {
    using clock = std::chrono::steady_clock;
    const auto began = clock::now();
    // What is larger than the whole queue goes alone.
    const auto fits = [&] { return bytes_ == 0 || bytes_ + need <= settings_.bytes_max; };
    ++waiting_;
    while (!closed_ && !fits()) {
        const bool patient = settings_.always_wait || held_up_;
        const bool for_ever = patient && settings_.timeout.count() == 0;
        if (for_ever) {
            room_.wait(lock);
            continue;
        }
        const timespan patience = patient ? settings_.timeout : timespan{core_patience};
        if (clock::now() - began >= patience) {
            break;
        }
        room_.wait_until(lock, began + patience);
    }
    --waiting_;
    if (closed_) {
        return ec::shutting_down;
    }
    if (!fits()) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return ec::queue_full;
    }
    return ec::none;
}

void publish_queue::seal() {
    if (used_ > begin_) {
        sealed_.push_back({{block_, block_->data + begin_, used_ - begin_}, 0});
        begin_ = used_;
    }
    topic_ = {};
}

void publish_queue::next_block(std::size_t need) {
    seal();
    if (!block_ || used_ + need > block_->capacity || block_->capacity - used_ < remainder_min) {
        // The rest of a pooled block serves the next chunk, as long as that is not too small.
        block_ = pool_.take(std::max(need, settings_.chunk_bytes + chunk_slack));
        begin_ = used_ = 0;
    }
}

void publish_queue::take(std::vector<chunk>& out) {
    auto lock = lock_briefly(mutex_);
    announced_ = false;
    if (used_ > begin_) {
        seal();
        if (block_->capacity - used_ < remainder_min) {
            block_.reset();
            begin_ = used_ = 0;
        }
    }
    if (out.empty()) {
        out.swap(sealed_);
    } else {
        std::move(sealed_.begin(), sealed_.end(), std::back_inserter(out));
        sealed_.clear();
    }
}

void publish_queue::release(std::size_t bytes) {
    const auto lock = lock_briefly(mutex_);
    bytes_ -= bytes;
    // Waking a publisher for every chunk would cost more than it brings.
    if (waiting_ > 0 && (bytes_ <= settings_.bytes_max / 4 * 3)) {
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
    room_.notify_all();
}

}  // namespace bzmq
