#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bzmq/subscriber.hpp"
#include "endpoint/core.hpp"

namespace bzmq {

struct subscriber::state {
    state(std::shared_ptr<endpoint_core> owner, std::vector<std::string> filter,
          const queue_options& how)
        : core(std::move(owner)), topics(std::move(filter)) {
        std::tie(id, queue) = core->subscribe(topics, how);
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() {
        if (core->in_child()) {
            // Another thread of the parent may have been waiting in there.
            [[maybe_unused]] auto* leaked = new std::shared_ptr<subscriber_queue>(queue);
        } else {
            close();
        }
    }

    void close() {
        queue->end({});
        core->unsubscribe(id);
    }

    std::shared_ptr<endpoint_core> core;
    node::subscriber_id id = 0;
    std::shared_ptr<subscriber_queue> queue;
    std::mutex change_mutex;  // held over a change: two do not overtake each other
    std::mutex topics_mutex;  // of the list alone
    std::vector<std::string> topics;
};

}  // namespace bzmq
