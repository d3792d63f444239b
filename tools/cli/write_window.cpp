#include "write_window.hpp"

#include <utility>

namespace bzmq::cli {

expected<void> write_window::add(store_write write, std::size_t bytes, std::uint64_t records,
                                 std::string where) {
    pending_.push_back({std::move(write), bytes, records, std::move(where)});
    bytes_ += bytes;
    // One may be larger than the bound: it then travels alone.
    while (pending_.size() > writes_max || (bytes_ > bytes_max && pending_.size() > 1)) {
        if (auto oldest = wait_for_oldest(); !oldest) {
            return oldest;
        }
    }
    return {};
}

expected<void> write_window::drain() {
    while (!pending_.empty()) {
        if (auto oldest = wait_for_oldest(); !oldest) {
            return oldest;
        }
    }
    return {};
}

expected<void> write_window::wait_for_oldest() {
    const auto one = std::move(pending_.front());
    pending_.pop_front();
    bytes_ -= one.bytes;
    const auto outcome = one.write.wait(timeout_);
    if (!outcome) {
        const auto& why = outcome.error();
        return fail(why.code(), one.where + (why.message().empty() ? "" : ": ") + why.message());
    }
    done_ += one.records;
    return {};
}

}  // namespace bzmq::cli
