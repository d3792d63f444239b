#include "transport/resolver.hpp"

#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace bzmq::transport {

struct resolver::state {
    std::mutex mutex;
    std::function<void()> on_answer;  ///< empty once the resolver is gone
    std::deque<answer> answers;
};

resolver::resolver(std::function<void()> on_answer) : state_(std::make_shared<state>()) {
    state_->on_answer = std::move(on_answer);
}

resolver::~resolver() {
    const std::lock_guard lock{state_->mutex};
    state_->on_answer = nullptr;
}

bool resolver::ask(std::uint64_t id, const url& named) {
    try {
        std::thread{[shared = state_, id, named] {
            auto found = resolve(named);
            const std::lock_guard lock{shared->mutex};
            if (shared->on_answer) {
                shared->answers.push_back({id, std::move(found)});
                shared->on_answer();
            }
        }}.detach();
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

std::optional<resolver::answer> resolver::next() {
    const std::lock_guard lock{state_->mutex};
    if (state_->answers.empty()) {
        return std::nullopt;
    }
    auto out = std::move(state_->answers.front());
    state_->answers.pop_front();
    return out;
}

}  // namespace bzmq::transport
