#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace bzmq {

/// The topics that an endpoint's services answer. None lies at, below or above another one: each
/// request has one answer. All end with a slash. Thread-safe.
class served_topics {
  public:
    /// Takes `topic`, or says which one is in its way.
    std::optional<std::string> take(const std::string& topic) {
        const std::lock_guard lock{mutex_};
        for (const auto& each : topics_) {
            if (topic.starts_with(each) || each.starts_with(topic)) {
                return each;
            }
        }
        topics_.insert(topic);
        return std::nullopt;
    }
    void give_back(const std::string& topic) {
        const std::lock_guard lock{mutex_};
        topics_.erase(topic);
    }

  private:
    std::mutex mutex_;
    std::set<std::string> topics_;
};

}  // namespace bzmq
