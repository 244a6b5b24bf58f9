# Arrays, strings, hashes and sets of uneven lives, and text in and out.
require 'json'
require 'set'

random = Random.new(7)
live = {}
250_000.times do
  key = random.rand(3000)
  next unless live.delete(key).nil?

  live[key] =
    case random.rand(4)
    when 0 then Array.new(random.rand(200)) { |i| i }
    when 1 then 'x' * random.rand(5000)
    when 2 then (0..random.rand(50)).to_h { |i| [i, i.to_s] }
    else Set.new(0..random.rand(50))
    end
end

data = (1..8000).map do |i|
  { 'id' => i, 'name' => random.rand(10**9).to_s(36) * 3, 'list' => Array.new(random.rand(10), i) }
end
text = JSON.generate(data)
raise unless JSON.parse(text) == data && text.gsub(/[aeiou](\d)/) { ($1.to_i * 12_345).to_s }
