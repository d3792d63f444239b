// A service, and who asks it.
#include <cstdio>

#include "bzmq/bzmq.hpp"

int main() {
    bzmq::endpoint server;
    bzmq::endpoint asker;
    const auto adding =
        server.serve("/calc/add", [](const bzmq::request& what) -> bzmq::expected<bzmq::data> {
            const auto numbers = bzmq::from_data<std::vector<bzmq::count>>(what.value);
            if (!numbers) {
                return bzmq::fail(bzmq::ec::type_clash, numbers.error().message());
            }
            bzmq::count sum = 0;
            for (const auto each : *numbers) {
                sum += each;
            }
            return bzmq::data{sum};
        });
    if (!asker.peer("127.0.0.1", server.listen("127.0.0.1", 0))
        || !asker.wait_for_server("/calc/add")) {
        return 1;
    }
    for (const auto& question : {bzmq::data{bzmq::vector{1U, 2U}}, bzmq::data{"text"}}) {
        const auto answer = asker.request("/calc/add", question);
        std::puts(answer ? to_text(*answer).c_str() : to_string(answer.error()).c_str());
    }
    const auto nobody = asker.request("/calc/subtract", bzmq::nil);
    std::puts(to_string(nobody.error()).c_str());
}
