# Ruby's collector frees in bulk what the program made one by one.

require 'digest'
require 'json'
require 'set'
require 'zlib'

def digest(text) = Digest::SHA256.hexdigest(text)[0, 16]

def churn(seed, steps)
  random = Random.new(seed)
  live = {}
  steps.times do
    key = random.rand(3000)
    if live.delete(key).nil?
      live[key] =
        case random.rand(4)
        when 0 then Array.new(random.rand(200)) { |i| i }
        when 1 then 'x' * random.rand(5000)
        when 2 then (0..random.rand(50)).to_h { |i| [i, i.to_s] }
        else Set.new(0..random.rand(50))
        end
    end
  end
  live.sum { |key, value| (key + 1) * value.size }
end

def formats
  random = Random.new(7)
  data = (1..5000).map do |i|
    { 'id' => i, 'name' => random.rand(10**9).to_s(36) * 3, 'list' => Array.new(random.rand(10), i) }
  end
  text = JSON.generate(data)
  puts "json #{text.size} #{digest(text)} #{JSON.parse(text) == data}"
  packed = Zlib.deflate(text, 9)
  puts "zlib #{digest(packed)} #{Zlib.inflate(packed) == text}"
  puts "marshal #{digest(Marshal.dump(data))} #{Marshal.load(Marshal.dump(data)) == data}"
  words = text.scan(/"([a-z0-9]+)"/).flatten
  puts "scan #{words.size} #{digest(words.sort.uniq.join)}"
  puts "gsub #{digest(text.gsub(/[aeiou](\d)/) { ($1.to_i * 12_345).to_s })}"
  puts "bignum #{digest((7**20_000).to_s)} #{digest((1..2000).reduce(:*).to_s)}"
end

def threads
  queue = SizedQueue.new(50)
  producers = (1..3).map do |n|
    Thread.new { 3000.times { |i| queue << [n, 'z' * (i % 700), { i => n }] } }
  end
  consumers = (1..3).map do
    Thread.new do
      sum = 0
      while (item = queue.pop) != :end
        sum += item[0] * item[1].size
      end
      sum
    end
  end
  producers.each(&:join)
  3.times { queue << :end }
  puts "threads #{consumers.sum(&:value)}"
end

$stdout.sync = true
formats
puts "churn #{(1..3).map { |seed| churn(seed, 100_000) }}"
threads
GC.stress = true
stressed = (1..300).map { |i| i.to_s * 5 }
GC.stress = false
puts "stress #{digest(stressed.join)}"
GC.compact
puts "fibers #{(1..2000).map { |n| Fiber.new { Fiber.yield 'f' * n } }.sum { |f| f.resume.size }}"
children = (1..8).map do |n|
  reader, writer = IO.pipe
  fork { reader.close; writer.write(churn(n, 5000).to_s); writer.close }
  writer.close
  reader
end
puts "children #{children.map(&:read)}"
Process.waitall
