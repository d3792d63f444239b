#pragma once

#include <memory>

#include "bzmq/status_subscriber.hpp"
#include "endpoint/core.hpp"

namespace bzmq {

struct status_subscriber::state {
    state(std::shared_ptr<endpoint_core> owner, bool statuses)
        : core(std::move(owner)), queue(core->subscribe_status(statuses)) {}
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() {
        if (core->in_child()) {
            [[maybe_unused]] auto* leaked = new std::shared_ptr<status_queue>(queue);
        } else {
            core->unsubscribe_status(queue);
        }
    }

    std::shared_ptr<endpoint_core> core;
    std::shared_ptr<status_queue> queue;
};

}  // namespace bzmq
