#pragma once

#include <string>
#include <vector>

#include "replica/room.hpp"

namespace bzmq::replica::testing {

using namespace std::chrono_literals;

inline const data one{count{1}};

/// A master with standbys, each at its own endpoint; `electors`: they may elect one.
struct cast {
    world around;
    std::vector<place*> at;
    std::vector<store_id> id;

    cast(unsigned standbys, unsigned sync_replicas, bool electors = false) {
        for (unsigned i = 0; i <= standbys; ++i) {
            at.push_back(&around.add());
        }
        master_options options = master_part(sync_replicas);
        id.push_back(at[0]->master("s", options, nullptr, standby_part(0, sync_replicas, electors)));
        for (unsigned i = 1; i <= standbys; ++i) {
            id.push_back(at[i]->standby("s", standby_part(i, sync_replicas, electors)));
        }
        around.settle();
        around.pass(1s);
    }
    static master_options master_part(unsigned sync_replicas) {
        master_options out;
        out.durable = true;
        out.sync_replicas = sync_replicas;
        return out;
    }
    clone_options standby_part(unsigned number, unsigned sync_replicas, bool electors) const {
        clone_options out;
        out.promoted = master_part(sync_replicas);
        out.failover_timeout = 5s;
        if (electors) {
            out.elector = "e" + std::to_string(number);
            for (unsigned i = 0; i < at.size(); ++i) {
                out.electors.push_back("e" + std::to_string(i));
            }
        }
        return out;
    }
    /// The endpoint's process is gone; its services, too.
    void kill(unsigned number) {
        at[number]->restart();
        around.apart.insert(at[number]->id);
    }
    [[nodiscard]] std::vector<unsigned> masters() const {
        std::vector<unsigned> out;
        for (unsigned i = 0; i < at.size(); ++i) {
            if (at[i]->stores->master_of(id[i]) != nullptr) {
                out.push_back(i);
            }
        }
        return out;
    }
};

}  // namespace bzmq::replica::testing
