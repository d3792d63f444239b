#include "peer_watch.hpp"

#include "exit_code.hpp"
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// A link that ends before the endpoint does is no loss, nor is one that is back at once.
constexpr auto grace = 500ms;

class teller {
  public:
    explicit teller(const std::vector<std::string>& urls) : urls_(urls) {}

    void take(const status& what) {
        const auto& url = what.context().address;
        if (std::find(urls_.begin(), urls_.end(), url) == urls_.end()) {
            return;
        }
        if (what == sc::peer_lost || what == sc::peer_removed) {
            lost_.insert(url);
            due_ = due_.value_or(clock::now() + grace);
        } else if (what == sc::peer_added) {
            lost_.erase(url);
            if (told_.erase(url) > 0) {
                warn(url + " is back");
            }
        }
    }
    void tell_if_due() {
        if (!due_ || clock::now() < *due_) {
            return;
        }
        due_.reset();
        for (auto& url : std::exchange(lost_, {})) {
            warn("lost " + url + ", trying again");
            told_.insert(url);
        }
    }
    /// How long nothing is due, as poll(2) takes it.
    [[nodiscard]] int patience() const {
        return due_ ? static_cast<int>(
                   std::max(std::chrono::ceil<std::chrono::milliseconds>(*due_ - clock::now()), 0ms)
                       .count())
                    : -1;
    }

  private:
    const std::vector<std::string>& urls_;
    std::set<std::string> lost_;  // And not told of yet.
    std::set<std::string> told_;
    std::optional<clock::time_point> due_;
};

void watch(status_subscriber& statuses, const std::vector<std::string>& urls) {
    teller out{urls};
    for (;;) {
        pollfd fd{statuses.fd(), POLLIN, 0};
        if (::poll(&fd, 1, out.patience()) > 0) {
            const auto news = statuses.get();
            if (const auto* what = get_if<status>(&news)) {
                out.take(*what);
            } else if (get<error>(news) == ec::shutting_down) {
                return;
            }
        }
        out.tell_if_due();
    }
}

}  // namespace

void peer_watch::follow(status_subscriber statuses, std::vector<std::string> urls) {
    threads_.emplace_back([statuses = std::move(statuses), urls = std::move(urls)]() mutable {
        watch(statuses, urls);
    });
}

}  // namespace bzmq::cli
