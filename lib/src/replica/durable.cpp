#include "replica/durable.hpp"

namespace bzmq::replica {
namespace {

std::uint64_t after(std::uint64_t newest, const endpoint_id& by, unsigned bit) noexcept {
    const auto drawn = stable_hash(std::as_bytes(std::span{by.bytes()}));
    return ((newest >> bit) + 1) << bit | (drawn & ((std::uint64_t{1} << epoch_start_bit) - 1));
}

}  // namespace

std::uint64_t epoch_after_start(std::uint64_t newest, const endpoint_id& by) noexcept {
    return after(newest, by, epoch_start_bit);
}

std::uint64_t epoch_after_promotion(std::uint64_t newest, const endpoint_id& by) noexcept {
    return after(newest, by, epoch_promotion_bit);
}

}  // namespace bzmq::replica
