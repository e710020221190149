// Everything works without this; it adds comfort.

// Menus close where a menu should: on Escape, and when one looks elsewhere.
for (const menu of document.querySelectorAll('details[data-menu]')) {
  document.addEventListener('click', (event) => {
    if (!menu.contains(event.target)) menu.open = false
  })
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    menu.open = false
    menu.querySelector('summary').focus()
  })
}

// Where one is shows in a bar that is longer than the window.
for (const here of document.querySelectorAll('nav [aria-current]')) {
  here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft
}

// Buttons that copy: data-copy names the element whose text is meant.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false
  // What is there for screen readers stands after it, and stays.
  const label = button.firstChild
  const words = label.data
  button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.copy).innerText.trim()
    try {
      await navigator.clipboard.writeText(text)
      label.data = 'Copied'
    } catch {
      label.data = 'Copy it by hand'
    }
    setTimeout(() => (label.data = words), 2_000)
  })
}

// A form that is on its way is not sent twice.
for (const form of document.querySelectorAll('form[method=post]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent === 'yes') event.preventDefault()
    form.dataset.sent = 'yes'
  })
}
window.addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent
})

// What went wrong is where one is taken to, with the words that go with it.
const wrong = document.getElementById('problem') ?? document.querySelector('[aria-invalid=true]')
wrong?.focus()

// A form with a preview shows it as one types.
for (const form of document.querySelectorAll('form[data-preview]')) {
  const preview = document.getElementById('preview')
  form.querySelector('[data-without-script]').remove()
  let asked
  let pause
  const refresh = async () => {
    asked?.abort()
    asked = new AbortController()
    const fields = new FormData(form)
    fields.delete('current_password')
    try {
      const answer = await fetch(form.dataset.preview, {
        method: 'POST',
        headers: { Accept: 'text/html' },
        body: new URLSearchParams(fields),
        redirect: 'error',
        signal: asked.signal,
      })
      if (answer.ok) preview.innerHTML = await answer.text()
    } catch {
      // Asked again meanwhile, or signed out: the form itself will say so.
    }
  }
  form.addEventListener('input', () => {
    clearTimeout(pause)
    pause = setTimeout(refresh, 250)
  })
  // Whoever comes back finds the fields as they left them, and the preview as it was at first.
  window.addEventListener('pageshow', () => {
    if (performance.getEntriesByType('navigation')[0]?.type === 'back_forward') refresh()
  })
  // Enter in what is only tried must not send the form.
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !event.target.name?.startsWith('try_')) return
    event.preventDefault()
    refresh()
  })
}

// Choosing a filter shows what it finds.
for (const form of document.querySelectorAll('form[data-filters]')) {
  for (const select of form.querySelectorAll('select')) select.addEventListener('change', () => form.requestSubmit())
}
